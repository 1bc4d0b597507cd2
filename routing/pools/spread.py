"""Choosing without looking at costs: at random, or in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heapreplace
from typing import Final

from gateway.core.clock import Chance
from routing.pools.drawing import Urn
from routing.pools.picking import Candidate, M, Picker

_TRIES: Final = 16


class RandomMember:
    """Draws a member by weight and warmth."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._members: Sequence[Candidate] = ()
        self._urn = Urn((), chance)

    def __repr__(self) -> str:
        return "<RandomMember>"

    def pick(
        self,
        members: Sequence[M],
        is_usable: Callable[[M], bool],
        key: bytes | None = None,  # noqa: ARG002 - a Picker is given one
    ) -> M | None:
        """Return a member at random."""
        if members is not self._members:
            self._members, self._urn = members, Urn(members, self._chance)
        if not members:
            return None
        for _ in range(_TRIES):
            member = members[self._urn.draw()]
            if is_usable(member):
                warmth = member.warmth
                if warmth >= 1.0 or self._chance.random() < warmth:
                    return member
        return self._draw_usable([member for member in members if is_usable(member)])

    def _draw_usable(self, usable: list[M]) -> M | None:
        """Draw where few are usable, or all are cold."""
        drawn = self._chance.random() * sum(member.weight * member.warmth for member in usable)
        for member in usable:
            drawn -= member.weight * member.warmth
            if drawn < 0.0:
                return member
        return usable[-1] if usable else None


class RoundRobin:
    """Takes members in turn, each as often as its weight and its warmth have it.

    The one whose turn is due first comes first (earliest deadline first, as in Envoy), and where a gateway
    begins is chance: otherwise all gateways would begin with the same member.
    """

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._members: Sequence[Candidate] = ()
        self._due: list[tuple[float, int]] = []
        """A heap of (when it is due, position)."""

    def __repr__(self) -> str:
        return "<RoundRobin>"

    def pick(
        self,
        members: Sequence[M],
        is_usable: Callable[[M], bool],
        key: bytes | None = None,  # noqa: ARG002 - a Picker is given one
    ) -> M | None:
        """Return the usable member whose turn it is. One that is not usable loses its turn."""
        if members is not self._members:
            self._members = members
            self._due = [(self._chance.random() / each.weight, i) for i, each in enumerate(members)]
            heapify(self._due)
        for _ in members:
            when, position = self._due[0]
            member = members[position]
            heapreplace(self._due, (when + 1.0 / (member.weight * member.warmth), position))
            if is_usable(member):
                return member
        # A heavy member may be due again before the others are.
        for _, position in sorted(self._due):
            if is_usable(members[position]):
                return members[position]
        return None


_: tuple[Callable[..., Picker], ...] = (RandomMember, RoundRobin)
