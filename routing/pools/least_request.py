"""Least request: of a few members drawn by weight the one that one more request costs least.

The power of two choices (M. Mitzenmacher, 2001) with peak-EWMA costs. The members drawn are different ones,
where Envoy draws each from all: with two or three members it would draw the slow one alone every fourth or
ninth time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.core.clock import Chance
from routing.pools.drawing import Urn, least
from routing.pools.picking import PENALTY, Candidate, M, Picker


class LeastRequest:
    """Draws ``choice_count`` members, and takes the one with the lowest cost.

    Where none of those is usable without a penalty, all are compared: a member that refuses gets nothing
    while there is one that does not.
    """

    def __init__(self, chance: Chance, choice_count: int = 2) -> None:
        self._chance = chance
        self._choice_count = choice_count
        self._members: Sequence[Candidate] = ()
        self._urn = Urn((), chance)

    def __repr__(self) -> str:
        return f"<LeastRequest of {self._choice_count}>"

    def pick(
        self,
        members: Sequence[M],
        is_usable: Callable[[M], bool],
        key: bytes | None = None,  # noqa: ARG002 - a Picker is given one
    ) -> M | None:
        """Return the cheapest of those drawn, at worst of all."""
        if members is not self._members:
            self._members, self._urn = members, Urn(members, self._chance)
        if len(members) <= self._choice_count:
            return least(members, is_usable, self._chance)
        urn = self._urn
        first = urn.draw()
        member = members[first]
        if member.warmth < 1.0:
            first = self._draw_warm(members, first)
            member = members[first]
        second = urn.draw_beside(first)
        best, lowest = None, PENALTY
        if is_usable(member):
            cost = member.cost
            if cost < lowest:
                best, lowest = member, cost
        member = members[second]
        if is_usable(member):
            cost = member.cost
            if cost < lowest:
                best, lowest = member, cost
        if self._choice_count > 2:
            best = self._more(members, is_usable, {first, second}, best, lowest)
        return least(members, is_usable, self._chance) if best is None else best

    def _draw_warm(self, members: Sequence[Candidate], drawn: int) -> int:
        """Put the first back as often as it is cold, twice at most."""
        for _ in range(2):
            if self._chance.random() < members[drawn].warmth:
                break
            drawn = self._urn.draw()
        return drawn

    def _more(
        self,
        members: Sequence[M],
        is_usable: Callable[[M], bool],
        drawn: set[int],
        best: M | None,
        lowest: float,
    ) -> M | None:
        last = next(iter(drawn))
        while len(drawn) < self._choice_count:
            position = self._urn.draw_beside(last)
            while position in drawn:
                position = (position + 1) % len(members)
            drawn.add(position)
            member = members[position]
            if is_usable(member) and member.cost < lowest:
                best, lowest = member, member.cost
        return best


_: Callable[..., Picker] = LeastRequest
