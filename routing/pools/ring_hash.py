"""Ring hash: each member has many places on a ring, and a key goes to the next place.

D. Karger et al., Consistent Hashing and Random Trees, 1997. What is lost moves to others, and nothing else
does.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from routing.pools.bounds import Bounds
from routing.pools.hashing import hash_of, points_of
from routing.pools.learning import Learning
from routing.pools.picking import Candidate, M, Picker
from routing.pools.spread import RandomMember

PLACES: Final = 128
"""Places of a member of weight 1: members' parts of the ring then differ by a tenth or so."""

_MOST: Final = 1 << 16
"""Places on a ring. Above it a member has half as many, then a quarter …: building may not hold the loop."""


_SLICE: Final = 1024
"""Members whose places are found with one step."""


class Ring(NamedTuple):
    """The places in order, and for each the position of its member."""

    places: array[int]
    positions: array[int]


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
        self._learning: Learning[Ring] | None = None

    def __repr__(self) -> str:
        learning = f", {self._learning!r}" if self._learning is not None else ""
        return f"<RingHash {len(self._places)} places, {self._bounds!r}{learning}>"

    def pick(self, members: Sequence[M], is_usable: Callable[[M], bool], key: bytes | None) -> M | None:
        """Return the member for ``key``."""
        if key is None or not members:
            return self._otherwise.pick(members, is_usable, None)
        place = hash_of(key, b"key")
        if members is not self._members and (learning := self._learn(members)) is not None:
            return learning.pick(members, is_usable, place, self._before(place))
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

    def _before(self, place: int) -> Candidate | None:
        if not self._places:
            return None
        return self._members[self._positions[bisect_right(self._places, place) % len(self._places)]]

    def _learn(self, members: Sequence[Candidate]) -> Learning[Ring] | None:
        """Take a step; None: the ring is there."""
        learning = self._learning
        if learning is None or learning.members is not members:
            learning = self._learning = Learning(members, _steps(members), self._balance_percent)
        found = learning.advance()
        if found is None:
            return learning
        self._members, self._bounds = members, learning.bounds
        self._places, self._positions = found
        self._learning = None
        return None


def _steps(members: Sequence[Candidate]) -> Iterator[Ring | None]:
    each = float(PLACES)
    weight = sum(member.weight for member in members)
    while each * weight > _MOST and each > 1 / 1024:
        each /= 2
    counts = [max(1, round(each * member.weight)) for member in members]
    parts = []
    for first in range(0, len(members), _SLICE):
        names = [member.name for member in members[first : first + _SLICE]]
        parts.append(points_of(names, counts[first : first + _SLICE]))
        yield None
    places = np.concatenate(parts)
    order = np.argsort(places, kind="stable")
    yield None
    positions = np.repeat(np.arange(len(members), dtype=np.uint32), counts)[order]
    # Arrays of Python's own: one element of them is read much faster.
    yield Ring(array("Q", places[order].tobytes()), array("I", positions.tobytes()))


_: Callable[..., Picker] = RingHash
