"""How many members of a large pool are available, without a look at each of them for every request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

LOOKS: Final = 64
"""Members that are looked at for one request. A pool of so many is counted anew each time."""


class Available(Protocol):
    """A member, as it is counted."""

    @property
    def is_available(self) -> bool:
        """Whether it may get new work now."""
        ...


class AvailableMembers:
    """Counts the members of one pool; of more than ``LOOKS``, each time the next ones anew.

    What it knows of a member is as old as the requests that it takes to come round: sixteen of a thousand.
    """

    __slots__ = ("_count", "_flags", "_members", "_next")

    def __init__(self) -> None:
        self._members: Sequence[Available] = ()
        self._flags = bytearray()
        self._count = self._next = 0

    def __repr__(self) -> str:
        return f"<AvailableMembers {self._count} of {len(self._members)}>"

    def count(self, members: Sequence[Available]) -> int:
        """Return how many of ``members``, the same sequence until they change, are available."""
        if len(members) <= LOOKS:
            return sum(each.is_available for each in members)
        if members is not self._members:
            self._members, self._next = members, 0
            self._flags = bytearray(each.is_available for each in members)
            self._count = sum(self._flags)
            return self._count
        begin, end = self._next, min(self._next + LOOKS, len(members))
        flags = bytes([each.is_available for each in members[begin:end]])
        self._count += sum(flags) - sum(self._flags[begin:end])
        self._flags[begin:end] = flags
        self._next = end % len(members)
        return self._count
