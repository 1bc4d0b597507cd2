"""Ring hash: each member has many places on a ring, and a key goes to the next place.

D. Karger et al., Consistent Hashing and Random Trees, 1997. What is lost moves to others, and nothing else
does.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from routing.pools.bounds import Bounds
from routing.pools.hashing import hash_of, points_of
from routing.pools.picking import Candidate, M, Picker
from routing.pools.spread import RandomMember

PLACES: Final = 128
"""Places of a member of weight 1: members' parts of the ring then differ by a tenth or so."""

_MOST: Final = 1 << 16
"""Places on a ring. Above it a member has half as many, then a quarter …: building may not hold the loop."""


class RingHash:
    """Takes the member of the first place behind the key's that is usable and has room (``bounds``).

    Its lookups are bounded: behind three times as many places as there are members, the rest are tried in
    their order. ``otherwise`` chooses for requests without a key.
    """

    def __init__(self, otherwise: RandomMember, balance_percent: int) -> None:
        self._otherwise = otherwise
        self._balance_percent = balance_percent
        self._members: Sequence[Candidate] = ()
        self._bounds = Bounds((), balance_percent)
        self._places = array("Q")
        self._positions = array("I")

    def __repr__(self) -> str:
        return f"<RingHash {len(self._places)} places, {self._bounds!r}>"

    def pick(self, members: Sequence[M], is_usable: Callable[[M], bool], key: bytes | None) -> M | None:
        """Return the member for ``key``."""
        if key is None or not members:
            return self._otherwise.pick(members, is_usable, None)
        if members is not self._members:
            self._learn(members)
        place = hash_of(key, b"key")
        start = bisect_right(self._places, place) % len(self._places)
        member = members[self._positions[start]]
        if is_usable(member) and self._bounds.has_room(member):
            return member
        return self._bounds.first(self._walk(place, start), members, is_usable)

    def _walk(self, place: int, start: int) -> Iterator[int]:
        size, count = len(self._places), len(self._members)
        for step in range(min(3 * count, size)):
            yield self._positions[(start + step) % size]
        for step in range(count):
            yield (place + step) % count

    def _learn(self, members: Sequence[Candidate]) -> None:
        self._members, self._bounds = members, Bounds(members, self._balance_percent)
        each = float(PLACES)
        while each * sum(member.weight for member in members) > _MOST and each > 1 / 1024:
            each /= 2
        counts = [max(1, round(each * member.weight)) for member in members]
        places = points_of([member.name for member in members], counts)
        positions = np.repeat(np.arange(len(members), dtype=np.uint32), counts)
        order = np.argsort(places, kind="stable")
        # Arrays of Python's own: one element of them is read much faster.
        self._places = array("Q", places[order].tobytes())
        self._positions = array("I", positions[order].tobytes())


_: Callable[..., Picker] = RingHash
