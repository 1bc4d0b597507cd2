"""Vectors in memory: bounded by bytes, and what leaves first is what nobody has asked for since it came.

A queue with a second chance (CLOCK): a hit sets a bit and moves nothing. Absent entities have a memory of
their own, so that a flood of ids that nobody has pushes out no vector.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

NAME_BYTES: Final = 400
"""What an entry takes in CPython besides its name and its vector, rounded up."""


class Kept:
    """A vector, or None for an entity that is absent, and until when: steady seconds."""

    __slots__ = ("hard_expiry", "is_hit", "soft_expiry", "vector")

    def __init__(self, vector: bytes | None, soft_expiry: float, hard_expiry: float) -> None:
        self.vector = vector
        self.soft_expiry, self.hard_expiry = soft_expiry, hard_expiry
        self.is_hit = False

    def __repr__(self) -> str:
        what = "absent" if self.vector is None else f"{len(self.vector)} bytes"
        return f"<Kept {what}, until {self.soft_expiry:.1f} s>"


class VectorMemory:
    """Names → what is kept of them, in at most ``max_bytes``. Only the event loop may call it."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        # Not a dict: finding its first key takes longer the more were taken from its front.
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self.taken_bytes = 0
        """By the same measure as ``max_bytes``."""

    def __repr__(self) -> str:
        return f"<VectorMemory {len(self._kept)} entities, {self.taken_bytes} of {self._max_bytes} bytes>"

    def __len__(self) -> int:
        """Return how many entities there are."""
        return len(self._kept)

    def get(self, name: bytes) -> Kept | None:
        """Return what is kept of ``name``; it may be past its expiry."""
        kept = self._kept.get(name)
        if kept is not None:
            kept.is_hit = True
        return kept

    def put(self, name: bytes, kept: Kept) -> None:
        """Keep ``kept``, or nothing of ``name`` where it alone is too large."""
        self.drop(name)
        size = _size(name, kept)
        if size > self._max_bytes:
            return
        while self.taken_bytes + size > self._max_bytes:
            self._evict()
        self._kept[name] = kept
        self.taken_bytes += size

    def drop(self, name: bytes) -> None:
        """Keep nothing of ``name``."""
        kept = self._kept.pop(name, None)
        if kept is not None:
            self.taken_bytes -= _size(name, kept)

    def clear(self) -> None:
        """Keep nothing."""
        self._kept.clear()
        self.taken_bytes = 0

    def _evict(self) -> None:
        name, kept = self._kept.popitem(last=False)
        if kept.is_hit:
            kept.is_hit = False
            self._kept[name] = kept
        else:
            self.taken_bytes -= _size(name, kept)


def _size(name: bytes, kept: Kept) -> int:
    return NAME_BYTES + len(name) + len(kept.vector or b"")
