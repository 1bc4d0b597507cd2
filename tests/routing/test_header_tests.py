"""How values of headers are tried."""

from __future__ import annotations

import pytest

from routing.header_tests import header_test
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
