"""What is remembered of requests, for each tenant and residency class by itself.

Whatever is remembered makes the next request quicker, and time can be measured. So nobody finds what another
has left, and nobody's goes because another leaves much.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

K = TypeVar("K")
V = TypeVar("V")

OWN_BYTES: Final = 1024
"""What an entry takes beside what it was made of."""


class Partition(NamedTuple):
    """A tenant and a residency class under one policy generation."""

    generation: int
    tenant: str
    residency: str


class _Share(Generic[K, V]):
    """What one partition has; ``size``: its bytes."""

    __slots__ = ("known", "size")

    def __init__(self) -> None:
        self.known: dict[K, tuple[V, int]] = {}
        self.size = 0


class PartitionedMemory(Generic[K, V]):
    """Values by partition and key, in at most ``most`` bytes for each partition and ``most_in_all`` for all.

    In a full partition the oldest value gives way. Where all of them together are too large it is the oldest
    of the largest partition: one that has less than an equal part loses nothing to others. With the first
    partition of a newer generation everything goes, for another policy may allow less; what comes for an
    older one after that is not kept. ``drop`` is called with each value that goes.
    """

    def __init__(
        self, most: int, most_in_all: int, drop: Callable[[V], object] = lambda _value: None
    ) -> None:
        self._most, self._most_in_all, self._drop = most, most_in_all, drop
        self._shares: dict[Partition, _Share[K, V]] = {}
        self._size = self._generation = 0

    def __repr__(self) -> str:
        return f"<PartitionedMemory {len(self)} in {len(self._shares)} partitions, {self._size} bytes>"

    def __len__(self) -> int:
        """Return the number of values."""
        return sum(len(share.known) for share in self._shares.values())

    def get(self, partition: Partition, key: K) -> V | None:
        """Return what the partition has; None: nothing."""
        share = self._shares.get(partition)
        if share is None:
            if partition.generation > self._generation:
                self._begin(partition.generation)
            return None
        found = share.known.get(key)
        return None if found is None else found[0]

    def keep(self, partition: Partition, key: K, value: V, cost: int) -> None:
        """Keep a value that takes ``cost`` bytes, in the place of the one that was there before."""
        if partition.generation > self._generation:
            self._begin(partition.generation)
        if partition.generation < self._generation or cost > self._most:
            self._drop(value)
            return
        share = self._shares.get(partition)
        if share is None:
            share = self._shares[partition] = _Share()
        elif key in share.known:
            self._forget(share, key)
        share.known[key] = (value, cost)
        share.size += cost
        self._size += cost
        while share.size > self._most:
            self._forget(share, next(iter(share.known)))
        while self._size > self._most_in_all:
            self._shrink()

    def clear(self) -> None:
        """Forget everything."""
        shares, self._shares, self._size = self._shares, {}, 0
        for share in shares.values():
            for value, _ in share.known.values():
                self._drop(value)

    def _begin(self, generation: int) -> None:
        self._generation = generation
        self.clear()

    def _shrink(self) -> None:
        partition, largest = max(self._shares.items(), key=lambda item: item[1].size)
        self._forget(largest, next(iter(largest.known)))
        if not largest.known:
            del self._shares[partition]

    def _forget(self, share: _Share[K, V], key: K) -> None:
        value, cost = share.known.pop(key)
        share.size -= cost
        self._size -= cost
        self._drop(value)


class Lesson(msgspec.Struct, frozen=True):
    """What may be remembered of a request, once it is answered.

    ``is_whole``: its data is in it, so that it may be kept only where the answer itself is: in this region's
    memory.
    """

    memory: PartitionedMemory[bytes, Any]
    partition: Partition
    key: bytes
    value: object
    cost: int
    is_whole: bool = False

    def learn(self) -> None:
        """Remember it."""
        self.memory.keep(self.partition, self.key, self.value, self.cost)
