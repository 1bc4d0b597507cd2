"""L1: answers in this process, bounded by bytes, evicted by S3-FIFO.

Most keys of a Zipf-like stream are requested once. LRU lets each of them travel through the whole cache
before it leaves; S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: FIFO Queues are All You Need for Cache Eviction,
SOSP 2023) evicts them early. It has three queues and moves nothing on a hit:

* **small**, a tenth of the bytes: every newcomer enters here. Leaving it, a key that was hit at least
  twice moves to main, any other is forgotten but for its name.
* **ghost**, names only: those that left small lately. A newcomer whose name is found here was
  forgotten too early, and enters main at once.
* **main**, the rest. A key at the head that was hit since its last turn goes to the tail with one hit
  less (a two-bit count), any other leaves for good.

A hit is one dict look-up and one small addition, which is why the event loop can afford it on every
request. Nothing here locks: only the event loop may call it.

Sizes differ by orders of magnitude, so every bound is in bytes, and all that grows is charged: an
entry at its ``Entry.size``, a name in ghost at ``NAME_BYTES``. Ghost holds as many names as there are
entries. An entry larger than small as a whole is refused: it would push out a tenth of the cache for a
key that may never be requested again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, Struct

from cache.levels.level import EVICTION_CAUSES, Entry, Evicted, LevelParts, LevelStats, NearLevel
from gateway.core.cache_events import CacheLookedUp
from gateway.core.cache_levels import L1
from gateway.core.telemetry import Telemetry

NAME_BYTES: Final = 160
PLACE_BYTES: Final = 280
"""What a place without an entry takes: its node, its key, its slots in dict and queue."""
SMALL_SHARE: Final = 0.1
MOST_HITS: Final = 3
HITS_TO_STAY: Final = 2
_FORGOTTEN_AT_ONCE: Final = 10_000


class MemorySettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The level in this process, L1."""

    max_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 40)] = 256 << 20
    """Bytes that the level may take, its own bookkeeping included. Default 256 MiB."""

    def open(self, parts: LevelParts) -> NearLevel:
        """Make the level."""
        return MemoryLevel(self, parts.telemetry)


class _Queue:
    """Nodes in the order they came, and their bytes."""

    __slots__ = ("bytes", "nodes")

    def __init__(self) -> None:
        self.nodes: deque[_Node] = deque()
        self.bytes = 0

    def push(self, node: _Node) -> None:
        node.queue = self
        self.nodes.append(node)
        self.bytes += node.size

    def pop(self) -> _Node:
        node = self.nodes.popleft()
        self.bytes -= node.size
        return node


class _Node:
    """A key's place in a queue. ``entry`` is None when it was deleted: the place leaves in its turn."""

    __slots__ = ("entry", "hits", "key", "queue", "size")

    def __init__(self, key: bytes, entry: Entry) -> None:
        self.key = key
        self.entry: Entry | None = entry
        self.size = entry.size
        self.hits = 0
        self.queue: _Queue

    def hold(self, entry: Entry | None) -> None:
        size = PLACE_BYTES if entry is None else entry.size
        self.queue.bytes += size - self.size
        self.entry, self.size = entry, size


class _Ghosts:
    """Names in the order they came, as 64-bit hashes: a mistaken one only lets a newcomer into main."""

    __slots__ = ("_known", "_order")

    def __init__(self) -> None:
        self._order: deque[int] = deque()
        self._known: set[int] = set()

    def __len__(self) -> int:
        return len(self._order)

    def remember(self, key: bytes, most: int) -> None:
        self._order.append(hash(key))
        self._known.add(hash(key))
        while len(self._order) > most:
            self._known.discard(self._order.popleft())

    def recall(self, key: bytes) -> bool:
        """Whether ``key`` was known; it is no longer. Its place in the order leaves in its turn."""
        is_known = hash(key) in self._known
        self._known.discard(hash(key))
        return is_known


class Occupancy(NamedTuple):
    """Places in each queue, names in ghost, and the bytes of all of them, added up one by one."""

    small: int
    main: int
    ghosts: int
    bytes: int


class MemoryLevel:
    """The level in process. ``peek`` is ``get`` without the cost of a coroutine."""

    name = L1
    is_shared = False

    def __init__(self, settings: MemorySettings, telemetry: Telemetry) -> None:
        self._max_bytes = settings.max_bytes
        self._small_bytes = int(settings.max_bytes * SMALL_SHARE)
        self._nodes: dict[bytes, _Node] = {}
        self._small, self._main = _Queue(), _Queue()
        self._ghosts = _Ghosts()
        self._emit = telemetry.emit
        self._miss = CacheLookedUp(self.name, "miss")

    def __repr__(self) -> str:
        small, main, ghosts = len(self._small.nodes), len(self._main.nodes), len(self._ghosts)
        mebibytes = f"{self.taken_bytes / (1 << 20):.1f} of {self._max_bytes / (1 << 20):.1f} MiB"
        return f"<MemoryLevel {mebibytes}, {small} small, {main} main, {ghosts} ghosts>"

    @property
    def taken_bytes(self) -> int:
        """Bytes now taken, by the same measure as ``MemorySettings.max_bytes``."""
        return self._small.bytes + self._main.bytes + len(self._ghosts) * NAME_BYTES

    def occupancy(self) -> Occupancy:
        """Count everything anew; it takes as long as there are entries, so it is for checks only."""
        small, main, ghosts = self._small.nodes, self._main.nodes, len(self._ghosts)
        sizes = sum(node.size for queue in (small, main) for node in queue)
        return Occupancy(len(small), len(main), ghosts, sizes + ghosts * NAME_BYTES)

    def stats(self) -> LevelStats:
        """Return what it holds and what has left it."""
        entries = sum(node.entry is not None for node in self._nodes.values())
        causes = dict.fromkeys(EVICTION_CAUSES, Evicted())
        return LevelStats(entries, self.taken_bytes, self._max_bytes, causes)

    def peek(self, key: bytes) -> Entry | None:
        """Return what is held under ``key``, now."""
        entry = self.glance(key)
        if entry is None:
            self._emit(self._miss)
        return entry

    def glance(self, key: bytes) -> Entry | None:
        """Return what ``peek`` returns, without an event where that is nothing."""
        node = self._nodes.get(key)
        if node is None or (entry := node.entry) is None:
            return None
        if node.hits < MOST_HITS:
            node.hits += 1
        return entry

    def stored(self, key: bytes) -> Entry | None:
        """Return what is held under ``key``, and do not count it as a hit."""
        node = self._nodes.get(key)
        return None if node is None else node.entry

    async def get(self, key: bytes) -> Entry | None:
        """Return what ``peek`` returns."""
        return self.peek(key)

    async def put(self, key: bytes, entry: Entry) -> None:
        """Hold ``entry``, or nothing under ``key`` when it is too large."""
        if entry.size > self._small_bytes:
            await self.delete(key)
            return
        entry = entry.at(self.name)
        node = self._nodes.get(key)
        if node is not None:
            node.hold(entry)
        else:
            self._admit(_Node(key, entry))
        while self.taken_bytes > self._max_bytes:
            self._evict()

    async def delete(self, key: bytes) -> None:
        """Forget ``key`` at once."""
        node = self._nodes.get(key)
        if node is not None:
            node.hold(None)

    async def forget(self, model: str) -> None:
        """Forget all answers of ``model``; others are given meanwhile."""
        for place, node in enumerate(list(self._nodes.values()), 1):
            is_its = node.entry is not None and node.entry.response.model == model
            # One that has left in the meantime is in no queue.
            if is_its and self._nodes.get(node.key) is node:
                node.hold(None)
            if not place % _FORGOTTEN_AT_ONCE:
                await asyncio.sleep(0)

    async def aclose(self) -> None:
        """Forget everything."""
        self._nodes.clear()
        self._ghosts = _Ghosts()
        self._small, self._main = _Queue(), _Queue()

    def _admit(self, node: _Node) -> None:
        self._nodes[node.key] = node
        queue = self._main if self._ghosts.recall(node.key) else self._small
        queue.push(node)

    def _evict(self) -> None:
        if self._small.bytes > self._small_bytes or not self._main.nodes:
            self._evict_small()
        else:
            self._evict_main()

    def _evict_small(self) -> None:
        node = self._small.pop()
        if node.entry is not None and node.hits >= HITS_TO_STAY:
            node.hits = 0
            self._main.push(node)
            return
        del self._nodes[node.key]
        if node.entry is not None:
            self._ghosts.remember(node.key, most=len(self._nodes))

    def _evict_main(self) -> None:
        node = self._main.pop()
        if node.entry is not None and node.hits:
            node.hits -= 1
            self._main.push(node)
        else:
            del self._nodes[node.key]


_: type[NearLevel] = MemoryLevel
