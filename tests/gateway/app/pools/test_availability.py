"""How many members of a pool are available."""

from __future__ import annotations

from random import Random

import pytest

from gateway.app.pools.availability import LOOKS, AvailableMembers


class Member:
    """Counts how often anybody looks at it."""

    looks = 0

    def __init__(self) -> None:
        self.is_up = True

    @property
    def is_available(self) -> bool:
        Member.looks += 1
        return self.is_up


@pytest.mark.parametrize("count", [1, 3, LOOKS])
def test_small_pools_are_counted_anew(count: int) -> None:
    """What happened just now counts."""
    members = tuple(Member() for _ in range(count))
    strength = AvailableMembers()
    assert strength.count(members) == count
    members[-1].is_up = False
    assert strength.count(members) == count - 1


@pytest.mark.parametrize("count", [LOOKS + 1, 1000, 1024])
def test_a_request_looks_at_few_of_many(count: int) -> None:
    """All are found out in the time of so many requests that it takes to come round."""
    members = tuple(Member() for _ in range(count))
    strength = AvailableMembers()
    assert strength.count(members) == count
    chance = Random(1)
    for _ in range(5):
        for member in members:
            member.is_up = chance.random() < 0.5
        for _ in range(-(-count // LOOKS)):
            Member.looks = 0
            found = strength.count(members)
            assert Member.looks <= LOOKS
        assert found == sum(member.is_up for member in members)
    assert repr(strength) == f"<AvailableMembers {found} of {count}>"


def test_other_members_are_counted_at_once() -> None:
    """They are another pool."""
    strength = AvailableMembers()
    strength.count(tuple(Member() for _ in range(1000)))
    members = tuple(Member() for _ in range(200))
    members[150].is_up = False

    assert strength.count(members) == 199
