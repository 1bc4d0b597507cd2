"""A body that is collected piece by piece, and is never copied as a whole.

Joining 64 MiB takes some 50 ms, in which nobody else is served. A large body is therefore written into memory
of its own as it comes: the system gives that memory page by page, where something is written.
"""

from __future__ import annotations

import mmap
from typing import Final

from gateway.core.tensor import Buffer

LARGE_BYTES: Final = 1 << 20
"""From here on a body is large; joining a smaller one costs less than memory of its own."""

_MAX_PARTS: Final = 1024

SLICE_BYTES: Final = 256 << 10
"""Bytes of a large body that are handed on at a time."""


class BodyCollector:
    """Collects one body of at most ``most_bytes``."""

    __slots__ = ("_large", "_most_bytes", "_parts", "size")

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._parts: list[bytes] = []
        self._large: mmap.mmap | None = None
        self.size = 0
        """Bytes so far."""

    def __repr__(self) -> str:
        return f"<BodyCollector {self.size} bytes>"

    def add(self, part: bytes) -> None:
        """Take the next piece; whoever calls this has made sure that it is not too much."""
        self.size += len(part)
        if self._large is not None:
            self._large.write(part)
            return
        self._parts.append(part)
        if self.size > LARGE_BYTES or len(self._parts) > _MAX_PARTS:
            self._large = mmap.mmap(-1, max(self._most_bytes, self.size))
            self._large.write(b"".join(self._parts))
            self._parts = []

    def whole(self) -> Buffer:
        """Return the body; a large one is a view."""
        if self._large is not None:
            return memoryview(self._large)[: self.size].toreadonly()
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


def slices(parts: list[Buffer]) -> list[Buffer]:
    """Return ``parts`` cut into slices, of which the last comes first: the next is popped."""
    cut: list[Buffer] = []
    for part in parts:
        if len(part) <= SLICE_BYTES:
            cut.append(part)
        else:
            view = memoryview(part)
            cut += [view[start : start + SLICE_BYTES] for start in range(0, len(part), SLICE_BYTES)]
    cut.reverse()
    return cut
