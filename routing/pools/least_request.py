"""Least request: of a few members drawn by weight the one that one more request costs least.

The power of two choices (M. Mitzenmacher, 2001) with peak-EWMA costs. The members drawn are different ones,
where Envoy draws each from all: with two or three members it would draw the slow one alone every fourth or
ninth time.

Of two with as many requests under way the faster one is not always taken: else the one of several equal
members that was fastest lately would get nearly all that a gateway with little to do sends. The slower one
gets a part that falls with its cost: a half at the same, a seventh at twice, nothing from 3.3 times on. Where
one has less under way, the cheaper one is taken.

A cold member is compared as often as it is warm, by the same costs: with its cost divided by its warmth it
would get nothing under little load until it is warm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from gateway.core.clock import Chance
from routing.pools.drawing import Urn, least
from routing.pools.picking import PENALTY, Candidate, M, Picker

SLOWEST: Final = 0.3
"""The cost of one beside which another, that has this times its cost, gets all requests."""
_BETWEEN: Final = 1.0 - SLOWEST


class LeastRequest:
    """Draws ``choice_count`` members, and takes the one with the lowest cost.

    Where none of those is usable without a penalty, all are compared: a member that refuses gets nothing
    while there is one that does not.
    """

    def __init__(self, chance: Chance, choice_count: int = 2) -> None:
        self._chance = chance
        self._random = chance.random
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
            return self._of_few(members, is_usable)
        urn = self._urn
        first = urn.draw()
        member = members[first]
        if member.warmth < 1.0:
            first = self._draw_warm(members, first)
            member = members[first]
        second = urn.draw_beside(first)
        other = members[second]
        if other.warmth < 1.0:
            second = self._draw_warm_beside(members, first, second)
            other = members[second]
        best, lowest = None, PENALTY
        if is_usable(member) and (cost := member.cost) < lowest:
            best, lowest = member, cost
        if other is not member and is_usable(other):
            cost = other.cost
            # As ``_is_better`` has it, written out instead of called.
            if other.active == member.active:
                lowest *= SLOWEST + _BETWEEN * self._random()
            if cost < lowest:
                member.passed_over()
                best, lowest = other, cost
            else:
                other.passed_over()
        if self._choice_count > 2:
            best = self._more(members, is_usable, {first, second}, best)
        return least(members, is_usable, self._chance) if best is None else best

    def _of_few(self, members: Sequence[M], is_usable: Callable[[M], bool]) -> M | None:
        """Compare all, cold ones as often as they are warm."""
        random = self._random
        warm = [each for each in members if (warmth := each.warmth) >= 1.0 or random() < warmth]
        start = int(random() * len(warm))
        best = None
        for each in (*warm[start:], *warm[:start]):
            if is_usable(each) and self._is_better(each, best):
                best = each
        if best is None:
            return least(members, is_usable, self._chance)
        for each in warm:
            if each is not best:
                each.passed_over()
        return best

    def _is_better(self, other: Candidate, best: Candidate | None) -> bool:
        """Whether ``other`` is taken instead of ``best``, which was drawn before it."""
        if best is None:
            return other.cost < PENALTY
        lowest = best.cost
        if other.active == best.active:
            lowest *= SLOWEST + _BETWEEN * self._random()
        return other.cost < lowest

    def _draw_warm(self, members: Sequence[Candidate], drawn: int) -> int:
        """Put the first back as often as it is cold, twice at most."""
        for _ in range(2):
            if self._random() < members[drawn].warmth:
                break
            drawn = self._urn.draw()
        return drawn

    def _draw_warm_beside(self, members: Sequence[Candidate], first: int, drawn: int) -> int:
        """Put the second back as often as it is cold, and after the second time compare none."""
        for _ in range(3):
            if self._random() < members[drawn].warmth:
                return drawn
            drawn = self._urn.draw_beside(first)
        return first

    def _more(
        self, members: Sequence[M], is_usable: Callable[[M], bool], drawn: set[int], best: M | None
    ) -> M | None:
        last = next(iter(drawn))
        while len(drawn) < self._choice_count:
            position = self._urn.draw_beside(last)
            while position in drawn:
                position = (position + 1) % len(members)
            drawn.add(position)
            member = members[position]
            if member.warmth < 1.0 and self._random() >= member.warmth:
                continue
            if is_usable(member) and self._is_better(member, best):
                if best is not None:
                    best.passed_over()
                best = member
            else:
                member.passed_over()
        return best


_: Callable[..., Picker] = LeastRequest
