"""Bounded loads: a member that has too much under way passes a key on.

V. Mirrokni, M. Thorup, M. Zadimoghaddam, Consistent Hashing with Bounded Loads, 2016: no member has more than
``factor`` times the average, and only keys of members at that bound move.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from routing.pools.picking import Candidate, M


class Bounds:
    """How much a member may have under way. ``percent``: of the average; 0: there is no bound."""

    def __init__(self, members: Sequence[Candidate], percent: int) -> None:
        self._members = members
        self._factor = percent / 100
        self._total_weight = sum(member.weight for member in members)

    def __repr__(self) -> str:
        return f"<Bounds {self._factor:.0%}>" if self._factor else "<Bounds: none>"

    def first(self, order: Iterable[int], members: Sequence[M], is_usable: Callable[[M], bool]) -> M | None:
        """Return the first usable member of ``order`` that has room; where none has, the one with most room.

        None: none is usable. Positions may come repeatedly.
        """
        each = (
            self._factor and self._factor * (sum([m.active for m in self._members]) + 1) / self._total_weight
        )
        seen: set[int] = set()
        fullest, least = None, math.inf
        for position in order:
            if position in seen:
                continue
            member = members[position]
            if is_usable(member):
                if not each:
                    return member
                # A member that is not warm has a smaller part.
                share = member.weight * member.warmth
                if member.active < max(1, math.ceil(each * share)):
                    return member
                if member.active / share < least:
                    fullest, least = member, member.active / share
            seen.add(position)
            if len(seen) == len(members):
                break
        return fullest
