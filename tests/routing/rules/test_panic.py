"""When all members of an endpoint are used, whatever is known of them."""

from __future__ import annotations

import pytest

from routing.rules.panic import Panic
from tests.routing.policies import policy

NAMES = ("one", "two")


class Known:
    """How many members are well of each endpoint; ``drained`` ones get nothing."""

    def __init__(self, *strengths: tuple[int, int], drained: str = "") -> None:
        self.strengths, self.drained = dict(zip(NAMES, strengths, strict=True)), drained

    def strength(self, endpoint: str) -> tuple[int, int]:
        return self.strengths[endpoint]

    def has_undrained(self, endpoint: str) -> bool:
        return endpoint != self.drained


def panic(threshold: float | None) -> Panic:
    """A panic of a policy with this threshold."""
    return Panic(policy(locality={"healthy_panic_threshold": threshold}))


@pytest.mark.parametrize(
    ("strengths", "found"),
    [
        (((4, 4), (0, 4)), ()),
        (((3, 10), (5, 10)), ()),
        (((1, 4), (1, 4)), NAMES),
        (((2, 4), (0, 4)), ("two",)),
        (((0, 4), (0, 4)), NAMES),
        (((0, 4), (3, 3)), ()),
        (((0, 0), (0, 4)), ("two",)),
    ],
)
def test_who_is_in_panic(strengths: tuple[tuple[int, int], ...], found: tuple[str, ...]) -> None:
    """Below the threshold, and only where all together cannot carry the load: Envoy's figures."""
    assert panic(50).among(NAMES, Known(*strengths)) == found


@pytest.mark.parametrize("threshold", [None, 0])
def test_nobody_without_a_threshold(threshold: float | None) -> None:
    """Then who is out gets nothing, as ever."""
    assert panic(threshold).among(NAMES, Known((0, 4), (0, 4))) == ()


def test_what_is_drained_stays_out() -> None:
    """An operator knows better than any figure."""
    assert panic(50).among(NAMES, Known((0, 4), (0, 4), drained="one")) == ("two",)


def test_shows_itself() -> None:
    """With its threshold."""
    assert repr(panic(50)) == "<Panic below 50 %>"
