"""How values of headers are tried."""

from __future__ import annotations

import pytest
import re2

from routing.header_tests import expressions_test, header_test
from routing.match import HeaderMatch


@pytest.mark.parametrize(
    ("match", "value", "holds"),
    [
        (HeaderMatch(exact="blue"), "blue", True),
        (HeaderMatch(exact="blue"), "blue2", False),
        (HeaderMatch(prefix="bl"), "blue", True),
        (HeaderMatch(prefix="bl"), "b", False),
        (HeaderMatch(regex="team-[0-9]+"), "team-7", True),
        (HeaderMatch(regex="team-[0-9]+"), "my team-7", False),
        (HeaderMatch(regex="team-[0-9]+"), "team-7\n", False),
        (HeaderMatch(regex="é+"), "éé", True),
        (HeaderMatch(regex="a|ab"), "ab", True),
        (HeaderMatch(regex="a.*"), "a\ud800", True),
    ],
)
def test_how_a_value_is_compared(match: HeaderMatch, value: str, holds: bool) -> None:
    """An expression matches the whole value, whatever that is."""
    assert header_test(match)(value) is holds


@pytest.mark.parametrize("regex", ["(", r"(a)\1", "(?=a)", "a{1000}{1000}", "(?<!a)b", "[[:nope:]]"])
def test_what_re2_does_not_take_is_refused(regex: str) -> None:
    """What would need backtracking, or too much memory, is no expression."""
    with pytest.raises(ValueError, match=r"\S"):
        header_test(HeaderMatch(regex=regex))


@pytest.mark.parametrize("regex", ["(x+x+)+y", "(x|x)*y", "(x*)*y", "(.*.*)*=y"])
def test_time_grows_with_the_value_alone(regex: str) -> None:
    """Expressions that keep a backtracking engine busy for years end at once (else: never)."""
    assert not header_test(HeaderMatch(regex=regex))("x" * 256)


VALUES = ("", "team-7", "team-77", "team-7\n", "my team-7", "éé", "a\ud800", "x" * 256)
PATTERNS = ("team-[0-9]", "team-.*", "[0-9a-zé -]+", "a.*", "x{256}", ".*", "(?i)TEAM-7")


@pytest.mark.parametrize("count", [1, 3, len(PATTERNS)])
def test_all_expressions_at_once_are_each_alone(count: int) -> None:
    """Whatever the value is, and in the order in which they were given."""
    patterns = PATTERNS[:count]
    matching = expressions_test(patterns)
    alone = [(pattern, header_test(HeaderMatch(regex=pattern))) for pattern in patterns]

    for value in VALUES:
        assert matching(value) == tuple(pattern for pattern, test in alone if test(value))


def test_many_expressions_go_through_a_value_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks at it for each of them."""
    tried: list[str] = []
    monkeypatch.setattr(re2.Set, "Match", lambda _, value: tried.append(value) or [7, 64])
    matching = expressions_test([f"team-{number}" for number in range(64)])

    assert matching("team-7") == ("team-7",)
    assert tried == [b"team-7"]


def test_expressions_that_are_too_large_together_are_tried_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None is lost where all of them at once need more memory than there is."""
    patterns = [f"[a-z]{{1,900}}x{number}" for number in range(64)]
    monkeypatch.delattr(re2.Set, "Match")

    matching = expressions_test(patterns)

    assert matching("a" * 100 + "x63") == (patterns[63],)
    assert matching("a" * 100 + "x64") == ()


def test_memory_that_runs_out_while_looking_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """RE2 then says that nothing matches, not even what always does: each is tried alone."""
    monkeypatch.setattr(re2.Set, "Match", lambda *_: None)
    matching = expressions_test(["team-7", "team-.*"])

    assert matching("team-7") == ("team-7", "team-.*")
