"""YAML with line numbers."""

from __future__ import annotations

import contextlib
import gc
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
import yaml

from gateway.config.document import MAX_BYTES, ConfigError, parse, read, spell

FILE = Path("some.yaml")


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: Annotated[int, msgspec.Meta(ge=1)] = 1


class Outer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    items: list[Inner] = []
    table: dict[str, Inner] = {}
    other: dict[str, int] = {}


def decode(text: str, **environment: str) -> Outer:
    return parse(FILE, text.encode(), environment).decode(Outer)


def refusal(text: str, **environment: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        decode(text, **environment)
    return caught.value


def test_good_file_becomes_typed_values() -> None:
    """The struct holds the values of the file."""
    assert decode("name: a\nitems: [{size: 2}]\ntable: {x: {size: 3}}\n") == Outer(
        "a", [Inner(2)], {"x": Inner(3)}
    )


@pytest.mark.parametrize(
    ("text", "line", "field", "message"),
    [
        ("name: a\nitems:\n- size: 1\n- size: 0\n", 4, "items[1].size", ">= 1"),
        (
            "name: a\n\ntable:\n  x: {size: 1}\n  y:\n    size: big\n",
            6,
            "table.y.size",
            "expected `int`, got `str`",
        ),
        # What is wrong in one section does not lead to a key of another in which the same is wrong later.
        (
            "name: a\ntable:\n  x: {size: 1}\n  y: {size: big}\n  z: {size: big}\nother: {x: big}\n",
            4,
            "table.y.size",
            "expected `int`, got `str`",
        ),
        (
            "table:\n" + "".join(f"  k{n}: {{size: {n // 999}}}\n" for n in range(1001)),
            2,
            "table.k0.size",
            ">= 1",
        ),
        ("name: a\ntable:\n  x:\n    sise: 1\n", 4, "table.x.sise", "unknown field"),
        ("name: a\nnmae: b\n", 2, "nmae", "unknown field"),
        ("items: []\n", 1, "", "missing required field `name`"),
        ("name: a\nname: b\n", 2, "name", "stands twice"),
        ("name: a\n? [x]\n: 1\n", 2, "", "a key must be plain text"),
        ("name: [a\n", 2, "", "is not YAML"),
        ("name: a\nitems: {}\n", 2, "items", "expected `array`, got `object`"),
        ("- 1\n", 1, "", "expected `object`, got `array`"),
        ("", 1, "", "missing required field"),
        ("name: 2024-13-45\n", 1, "name", "cannot be read"),
        ("name: !!python/object:os.system x\n", 1, "name", "cannot be read"),
        ('name: !!int ""\n', 1, "name", "cannot be read"),
        ("name: !!bool foo\n", 1, "name", "cannot be read"),
        ("name: 1" + ":1" * 100_000 + "\n", 1, "name", "a number has at most"),
        ("name: 1" + ":1" * 100_000 + ".5\n", 1, "name", "a number has at most"),
        ("name: " + "9" * 4_000 + "\n", 1, "name", "a number has at most"),
        ("name: !!timestamp foo\n", 1, "name", "cannot be read"),
        ("\n" + "[" * 100_000, 2, "", "levels deep"),
        ("a: " + "[" * 30_000 + "]" * 30_000, 1, "", "levels deep"),
        ("{a: " * 50_000 + "1" + "}" * 50_000, 1, "", "levels deep"),
    ],
)
def test_complaint_names_line_and_field(text: str, line: int, field: str, message: str) -> None:
    """Every complaint names file, line and field."""
    error = refusal(text)

    assert (error.line, error.field) == (line, field)
    assert message in error.message
    assert str(error).startswith(f"some.yaml:{line}: ")


def test_key_that_yaml_reads_as_a_truth_value_stays_text() -> None:
    """NO is Norway, not false, when it is a key."""
    assert decode("name: a\ntable:\n  NO: {size: 2}\n").table == {"NO": Inner(2)}


def test_variables_are_filled_in() -> None:
    """${NAME} takes the environment's value and ${NAME:-default} has a default."""
    assert decode("name: ${WHO}-${PORT:-80}\n", WHO="me").name == "me-80"


def test_missing_variable_is_named() -> None:
    """A variable that is not set is an error with its line, not an empty string."""
    error = refusal("items: []\nname: ${WHO}\n")

    assert (error.line, error.field) == (2, "name")
    assert "WHO" in error.message


def test_without_environment_nothing_is_filled_in() -> None:
    """A policy is the same file everywhere, so it may not depend on the environment."""
    values: Any = parse(FILE, b"name: ${WHO}").values

    assert values == {"name": "${WHO}"}


def test_alias_bomb_is_refused() -> None:
    """A few nested aliases may not stand for billions of values."""
    text = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n"
    for level in range(1, 10):
        text += f"a{level}: &a{level} [{','.join(['*a' + str(level - 1)] * 10)}]\n"

    assert "stands for more than" in refusal(text).message


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\xff\xfe", "not UTF-8"), (b"a: \x01", "not YAML"), (b"#" * (MAX_BYTES + 1), "larger than")],
)
def test_what_is_no_text_is_refused(content: bytes, message: str) -> None:
    """Binary, control characters and huge files end in a clear error."""
    with pytest.raises(ConfigError, match=message):
        parse(FILE, content)


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "&a {name: *a}\n"])
def test_alias_of_itself_is_refused(text: str) -> None:
    """A value that contains itself has no end."""
    assert "an alias stands within" in refusal(text).message


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is named with the system's reason."""
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        read(tmp_path / "none.yaml")


def test_spell_writes_paths_as_people_do() -> None:
    """Indices in brackets, keys with dots."""
    assert spell(("routes", 0, "match", "model")) == "routes[0].match.model"


@pytest.mark.parametrize("text", ["a: [1, 2, {b: c}]\nd: &x {e: f}\ng: *x\n", "a: [1, b: {a: 1, a: 2}]\n"])
def test_nodes_go_with_the_file(text: str) -> None:
    """They are not left to the collector, which would free 100,000 in one go while no thread runs."""

    def nodes() -> int:
        return sum(isinstance(each, yaml.Node) for each in gc.get_objects())

    gc.collect()
    before = nodes()
    gc.disable()
    try:
        with contextlib.suppress(ConfigError):
            parse(Path("policy.yaml"), text.encode())
        assert nodes() == before
    finally:
        gc.enable()


def test_lines_can_be_taken_apart() -> None:
    """What is wrong with a value can then no longer be found."""
    document = parse(Path("policy.yaml"), b"a: 1\nb: 2\n")
    assert document.line(("b",)) == 2
    document.take_apart()
    assert document.lines == {}
