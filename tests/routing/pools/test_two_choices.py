"""Of two members drawn, the one that costs less."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random

from routing.pools.two_choices import TwoChoices


@dataclass(frozen=True)
class Member:
    name: str
    cost: float
    weight: float = 1.0
    active: int = 0


def test_the_dearest_is_never_chosen_while_there_are_others() -> None:
    """Of any two it is the dearer one; all that cost the same get the same."""
    members = [Member("a", 1), Member("b", 1), Member("slow", 10)]
    picker = TwoChoices(Random(1))

    found = Counter(picker.pick(members, lambda _: True, None).name for _ in range(1000))

    assert found["slow"] == 0
    assert 400 < found["a"] < 600


def test_only_those_are_chosen_that_may_be() -> None:
    """One alone, or none."""
    members = [Member("a", 1), Member("b", 10)]
    picker = TwoChoices(Random(1))

    assert picker.pick(members, lambda each: each.name == "b", None) is members[1]
    assert picker.pick(members, lambda _: False, None) is None
    assert repr(picker) == "<TwoChoices>"
