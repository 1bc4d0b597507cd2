"""Drawing members by weight."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final

from gateway.core.clock import Chance
from routing.pools.picking import Candidate, M

_TRIES: Final = 32


class Urn:
    """Draws positions in a list of members, each as often as its weight has it; warmth is not looked at."""

    __slots__ = ("_count", "_random", "_reach", "_total")

    def __init__(self, members: Sequence[Candidate], chance: Chance) -> None:
        self._random = chance.random
        self._count = len(members)
        reach = list(accumulate(member.weight for member in members))
        self._total = reach[-1] if reach else 0.0
        # Equal weights are drawn without looking.
        self._reach = reach if len({member.weight for member in members}) > 1 else []

    def draw(self) -> int:
        """Return a position."""
        if self._reach:
            return min(bisect_right(self._reach, self._random() * self._total), self._count - 1)
        return int(self._random() * self._count)

    def draw_beside(self, first: int) -> int:
        """Return another position than ``first``; there are two at least."""
        if not self._reach:
            other = int(self._random() * (self._count - 1))
            return other if other < first else other + 1
        for _ in range(_TRIES):
            other = self.draw()
            if other != first:
                return other
        # Beside a weight of 1000 the others hardly ever come up.
        return (first + 1 + int(self._random() * (self._count - 1))) % self._count


def least(members: Sequence[M], is_usable: Callable[[M], bool], chance: Chance) -> M | None:
    """Return the usable member with the lowest cost, of equal ones any; None: none is usable."""
    start = int(chance.random() * len(members))
    usable = filter(is_usable, (*members[start:], *members[:start]))
    return min(usable, key=lambda member: member.cost, default=None)
