"""Bounded loads: a member that has too much under way passes a key on.

V. Mirrokni, M. Thorup, M. Zadimoghaddam, Consistent Hashing with Bounded Loads, 2016: no member has more than
``factor`` times the average, and only keys of members at that bound move.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from routing.pools.picking import Candidate, M

_LOOKS: Final = 16


class Bounds:
    """How much a member may have under way. ``percent``: of the average; 0: there is no bound.

    What all have under way together is added up anew with each choice up to 16 members, with every n / 16th
    for more: each of them may then have a sixteenth of a request too much.
    """

    def __init__(self, members: Sequence[Candidate], percent: int) -> None:
        self._members = members
        self._factor = percent / 100
        self._total_weight = sum(member.weight for member in members)
        self._every = len(members) // _LOOKS
        self._left = 0
        self._part = 0.0

    def __repr__(self) -> str:
        return f"<Bounds {self._factor:.0%}>" if self._factor else "<Bounds: none>"

    def has_room(self, member: Candidate) -> bool:
        """Whether the first choice may have the request."""
        if not self._factor or not member.active:
            return True
        # A member that is not warm has a smaller part.
        return member.active < max(1, math.ceil(self._each() * member.weight * member.warmth))

    def first(self, order: Iterable[int], members: Sequence[M], is_usable: Callable[[M], bool]) -> M | None:
        """Return the first usable member of ``order`` that has room; where none has, the one with most room.

        None: none is usable. Positions may come repeatedly.
        """
        seen: set[int] = set()
        fullest, least = None, math.inf
        for position in order:
            if position in seen:
                continue
            member = members[position]
            if is_usable(member):
                if self.has_room(member):
                    return member
                load = member.active / (member.weight * member.warmth)
                if load < least:
                    fullest, least = member, load
            seen.add(position)
            if len(seen) == len(members):
                break
        return fullest

    def _each(self) -> float:
        """Return the bound of a member of weight 1."""
        self._left -= 1
        if self._left < 0:
            under_way = sum([member.active for member in self._members]) + 1
            self._part, self._left = self._factor * under_way / self._total_weight, self._every
        return self._part
