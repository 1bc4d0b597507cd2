"""Zone awareness: members of the gateway's own zone come first, as far as they can carry it.

Envoy sends a fixed part to the own zone, by the numbers of members and of gateways in each. Here costs
decide, so that it works with any number: the own zone's member gets the request unless it costs more than
twice what one elsewhere does (Linkerd's load band for adding other zones ends at 2.0).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.core.clock import Chance
from routing.pools.drawing import Urn
from routing.pools.picking import PENALTY, Candidate, M, Picker

BAND: Final = 2.0


class OwnZoneFirst:
    """Lets ``near`` choose among the members of ``zone``, and ``far`` among the others where those are dear.

    Where the own zone has no members, or all, ``near`` chooses among all.
    """

    def __init__(self, zone: str, near: Picker, far: Picker, chance: Chance) -> None:
        self._zone, self._near, self._far, self._chance = zone, near, far, chance
        self._members: Sequence[Candidate] = ()
        self._urn = Urn((), chance)
        self._parts: tuple[Sequence[Any], Sequence[Any]] = ((), ())

    def __repr__(self) -> str:
        return f"<OwnZoneFirst {self._zone}: {self._near!r}>"

    def pick(self, members: Sequence[M], is_usable: Callable[[M], bool], key: bytes | None) -> M | None:
        """Return a member of the own zone, or one elsewhere that costs less than half of it."""
        if members is not self._members:
            self._learn(members)
        own, others = self._parts
        if not others:
            return self._near.pick(members, is_usable, key)
        near: M | None = self._near.pick(own, is_usable, key)
        if near is not None:
            cost = near.cost / near.warmth
            drawn: M = others[self._urn.draw()]
            if cost < PENALTY and cost <= BAND * drawn.cost / drawn.warmth:
                return near
        far: M | None = self._far.pick(others, is_usable, key)
        if near is None or far is None:
            return far if near is None else near
        return near if near.cost / near.warmth <= BAND * far.cost / far.warmth else far

    def _learn(self, members: Sequence[Candidate]) -> None:
        own = tuple(member for member in members if member.zone == self._zone)
        others = tuple(member for member in members if member.zone != self._zone) if own else ()
        self._members, self._parts = members, (own, others)
        self._urn = Urn(others, self._chance)


_: Callable[..., Picker] = OwnZoneFirst
