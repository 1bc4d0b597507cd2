"""Maglev hashing: a table in which each member has its part of the slots, spread as its name has it.

D. Eisenbud et al., Maglev: A Fast and Reliable Software Network Load Balancer, 2016, section 3.4. Parts are
more even than on a ring; when a member leaves, a few keys of others move too.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from routing.pools.bounds import Bounds
from routing.pools.hashing import hash_of
from routing.pools.learning import Learning
from routing.pools.picking import Candidate, M, Picker
from routing.pools.spread import RandomMember

SLOTS: Final = 8191
"""A prime, and not the paper's (and Envoy's) 65537: that one takes ten times as long to fill. A
hundred slots a member, as the paper wants them, are there up to 81 members."""


_SLICE: Final = 1024
"""Slots that are filled, and members that are prepared, with one step."""


_LAST: Final = frozenset({256, 64, 16})
"""Slots that are left where further steps end: the last ones are looked for long."""


class Maglev:
    """Takes the member of the key's slot, or of the next slots where that is not usable or has no room.

    ``otherwise`` chooses for requests without a key.
    """

    def __init__(self, otherwise: RandomMember, balance_percent: int) -> None:
        self._otherwise = otherwise
        self._balance_percent = balance_percent
        self._members: Sequence[Candidate] = ()
        self._bounds = Bounds((), balance_percent)
        self._slots = array("I")
        self._learning: Learning[array[int]] | None = None

    def __repr__(self) -> str:
        learning = f", {self._learning!r}" if self._learning is not None else ""
        return f"<Maglev {self._bounds!r}{learning}>"

    def pick(self, members: Sequence[M], is_usable: Callable[[M], bool], key: bytes | None) -> M | None:
        """Return the member for ``key``."""
        if key is None or not members:
            return self._otherwise.pick(members, is_usable, None)
        place = hash_of(key, b"key")
        if members is not self._members and (learning := self._learn(members)) is not None:
            before = self._members[self._slots[place % SLOTS]] if self._slots else None
            return learning.pick(members, is_usable, place, before)
        member = members[self._slots[place % SLOTS]]
        if is_usable(member) and self._bounds.has_room(member):
            return member
        return self._bounds.first(self._walk(place), members, is_usable)

    def _learn(self, members: Sequence[Candidate]) -> Learning[array[int]] | None:
        """Take a step; None: the table is there."""
        learning = self._learning
        if learning is None or learning.members is not members:
            learning = self._learning = Learning(members, _steps(members), self._balance_percent)
        found = learning.advance()
        if found is None:
            return learning
        self._members, self._bounds, self._slots = members, learning.bounds, found
        self._learning = None
        return None

    def _walk(self, place: int) -> Iterator[int]:
        count = len(self._members)
        for step in range(3 * count):
            yield self._slots[(place + step) % SLOTS]
        for step in range(count):
            yield (place + step) % count


def table(members: Sequence[Candidate]) -> array[int]:
    """Return for each slot the position of its member.

    Members choose in turns, each its next free slot in an order of its own; a lighter one sits out turns.
    """
    return next(slots for slots in _steps(members) if slots is not None)


def _steps(members: Sequence[Candidate]) -> Iterator[array[int] | None]:
    # In the order of names, so that it does not matter in which order a name's addresses come.
    turns = sorted(range(len(members)), key=lambda position: members[position].name)
    heaviest = max(member.weight for member in members)
    shares = [member.weight / heaviest for member in members]
    free = bytearray(b"\1") * SLOTS
    orders: list[Iterator[int]] = []
    for first in range(0, len(members), _SLICE):
        part = members[first : first + _SLICE]
        orders += [filter(free.__getitem__, _order(member.name)) for member in part]
        yield None
    slots = array("I", bytes(4 * SLOTS))
    left = SLOTS
    for position in _in_turn(turns, shares):
        slot = next(orders[position])
        slots[slot], free[slot] = position, 0
        left -= 1
        if not left:
            break
        if not left % _SLICE or left in _LAST:
            yield None
    yield slots


def _in_turn(turns: Sequence[int], shares: Sequence[float]) -> Iterator[int]:
    """Return who may choose, without end; ``shares``: how often each may, with 1 in every turn."""
    earned = [0.0] * len(shares)
    while True:
        for position in turns:
            earned[position] += shares[position]
            if earned[position] >= 1.0:
                earned[position] -= 1.0
                yield position


def _order(name: str) -> Iterator[int]:
    """Return the slots as a member of this name prefers them: each once, as SLOTS is a prime."""
    offset = hash_of(name.encode(), b"offset") % SLOTS
    skip = hash_of(name.encode(), b"skip") % (SLOTS - 1) + 1
    return map(SLOTS.__rmod__, range(offset, offset + SLOTS * skip, skip))


_: Callable[..., Picker] = Maglev
