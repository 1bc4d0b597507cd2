"""One word, one meaning: CONTRIBUTING.md has the glossary; here is what holds the names to it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("gateway", "routing", "cache", "resilience", "edge_models")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LOADTESTS = sorted((ROOT / "loadtests").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

NOT_OURS = {"_asdict", "_fields", "_make", "_replace"}
"""Names that begin with ``_`` and are public: those of named tuples."""


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def words_of(name: str) -> set[str]:
    """``HTTPServer_left2`` → http, server, left, 2."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)}


def retired_words() -> tuple[set[str], set[str]]:
    """The words that the glossary retires: everywhere; and in the names of classes alone, capitalised there."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = text.partition("| retired |")[2].partition("\n\n")[0].splitlines()[2:]
    words = {word for row in table for word in re.findall(r"`(\w+)`", row.split("|")[1])}
    return {word for word in words if word.islower()}, {word.lower() for word in words if not word.islower()}


def retired_names(path: Path) -> Iterator[str]:
    """The files, classes and functions with a retired word in their name: PATH or PATH:NAME."""
    everywhere, of_classes = retired_words()
    if words_of(path.stem) & everywhere:
        yield relative(path)
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            retired = everywhere
        elif isinstance(node, ast.ClassDef):
            retired = everywhere | of_classes
        else:
            continue
        if words_of(node.name) & retired:
            yield f"{relative(path)}:{node.name}"


def own_names(tree: ast.Module) -> set[str]:
    """What a module defines or assigns, at its top, in its classes, or on ``self``."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            names.add(node.attr)
    return names


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in {"self", "cls"}


def private_reads(tree: ast.Module) -> Iterator[str]:
    """Attributes and imports that begin with one ``_`` and that the module does not have itself."""
    own = own_names(tree) | NOT_OURS
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not is_self(node.value):
            names = [node.attr]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith((*PACKAGES, "loadtests")):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name for name in names if re.match("_[^_]", name) and name not in own)


def test_glossary_is_read() -> None:
    everywhere, of_classes = retired_words()

    assert everywhere >= {"arrivals", "told", "said", "settle", "door", "joined", "ledger"}
    assert of_classes >= {"intake", "leaving"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("_joined", {"joined"}),
        ("FlightJoined", {"flight", "joined"}),
        ("HTTPDoor", {"http", "door"}),
        ("border", {"border"}),
        ("http1_ahead", {"http", "1", "ahead"}),
    ],
)
def test_names_fall_into_words(name: str, words: set[str]) -> None:
    assert words_of(name) == words


def test_public_classes_have_a_name_each() -> None:
    """In all packages: who reads ``Verdict`` need not ask which."""
    places = defaultdict(list)
    for path in MODULES:
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(relative(path))

    assert {name: at for name, at in places.items() if len(at) > 1} == {}


def test_retired_words_do_not_come_back() -> None:
    """In tests, too; but the name of a test is a sentence, which may use any word."""
    found = [name for path in (*MODULES, *LOADTESTS, *TESTS) for name in retired_names(path)]

    assert [name for name in found if ":test_" not in name] == []


def test_tests_read_no_private_attributes() -> None:
    """An event or a public property instead: what is private may change without a test that fails."""
    found = {relative(path): sorted(private_reads(parsed(path))) for path in TESTS}

    assert {name: reads for name, reads in found.items() if reads} == {}


def test_private_reads_are_found() -> None:
    """And not what a test module itself defines."""
    source = "from gateway.app import _hidden\nx._y\nself._z\nx._replace()\nx.__dict__\ndef _own(): ...\nm._own()\n"

    assert sorted(private_reads(ast.parse(source))) == ["_hidden", "_y"]
