"""Learning who the members of a large pool are: one step with each choice, so that none holds the loop.

Until all steps are taken, keys go where the table before has them, if that member is still there, and else to
the member of the highest random weight (D. Thaler, C. Ravishankar, 1996), which needs no table: equal keys
meet one member meanwhile, too, in every gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Generic, TypeVar

import numpy as np

from routing.pools.bounds import Bounds
from routing.pools.hashing import hash_of, mixed
from routing.pools.picking import Candidate, M

AT_ONCE: Final = 64
"""Members whose table is made with one choice."""

T = TypeVar("T")


class Learning(Generic[T]):
    """The way to the table of ``members``. ``steps`` yields None until it yields the table."""

    def __init__(self, members: Sequence[Candidate], steps: Iterator[T | None], balance_percent: int) -> None:
        self.members, self.bounds = members, Bounds(members, balance_percent)
        self._steps = steps
        self._positions = {id(member): position for position, member in enumerate(members)}
        self._seeds = np.empty(0, np.uint64)
        self._weights = np.empty(0)

    def __repr__(self) -> str:
        return f"<Learning {len(self.members)} members>"

    def advance(self) -> T | None:
        """Take a step, all of them for a few members; None: there are more."""
        for found in self._steps:
            if found is not None or len(self.members) > AT_ONCE:
                return found
        return None

    def pick(
        self, members: Sequence[M], is_usable: Callable[[M], bool], place: int, before: Candidate | None
    ) -> M | None:
        """Return the member for a key at ``place``: the one that it had ``before``, or by no table."""
        position = self._positions.get(id(before))
        if position is not None:
            member = members[position]
            if is_usable(member) and self.bounds.has_room(member):
                return member
        if not len(self._seeds):
            names = (hash_of(each.name.encode(), b"seed") for each in members)
            self._seeds = np.fromiter(names, np.uint64, len(members))
            self._weights = np.array([each.weight for each in members])
        drawn = mixed(self._seeds ^ np.uint64(place)).astype(np.float64)
        order = np.argsort(-np.log((drawn + 1.0) / 2.0**64) / self._weights, kind="stable")
        return self.bounds.first(order.tolist(), members, is_usable)
