"""L1: answers in this process, bounded by bytes, evicted by S3-FIFO (``cache.eviction.s3fifo``).

A hit is one dict look-up and one small addition, which is why the event loop can afford it on every
request. Nothing here locks: only the event loop may call it.

Sizes differ by orders of magnitude, so every bound is in bytes, and all that grows is charged: an
entry at its ``Entry.size``, a name in ghost at ``NAME_BYTES``. An entry larger than a tenth of the level is
refused: it would push out that much for a key that may never be requested again.

A tenant with a quota has queues of its own, and a share that nobody else's entries take
(``cache.levels.shares``).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Annotated, Final, cast

from msgspec import Meta, Struct

from cache.eviction.s3fifo import MOST_HITS, SMALL_SHARE, Node, Occupancy
from cache.levels.estimate import Estimate
from cache.levels.level import EVICTION_CAUSES, Entry, Evicted, HolderBytes, LevelParts, LevelStats, NearLevel
from cache.levels.shares import Share, Shares
from gateway.core.cache_events import CacheLookedUp
from gateway.core.cache_levels import L1
from gateway.core.clock import Clock
from gateway.core.telemetry import Telemetry

_LOOKED_AT_ONCE: Final = 10_000
_SHOWN_HOLDERS: Final = 20
_SAMPLED_FROM: Final = 253
"""Keys whose first byte is at least this are in the sample, 3 of 256: keys are hashes, and a secret has part
in them, so nobody can choose them."""


class MemorySettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The level in this process, L1."""

    max_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 40)] = 256 << 20
    """Bytes that the level may take, its own bookkeeping included. Default 256 MiB."""

    estimate: bool = True
    """Whether to estimate, from one key in 85, what hit ratio half and twice the bytes would give. The queues
    that it takes are charged to ``max_bytes``: below 1 % with answers of 2 KiB and more."""

    def open(self, parts: LevelParts) -> NearLevel:
        """Make the level."""
        return MemoryLevel(self, parts.telemetry, parts.clock)


class _Node(Node[Entry]):
    """``entry``: what a hit hands out. None where a hit takes more: in the sample, or deleted."""

    __slots__ = ("entry",)

    def __init__(self, key: bytes, held: Entry, *, sampled: bool) -> None:
        super().__init__(key, held, held.size)
        self.entry: Entry | None = None if sampled else held

    def replace(self, held: Entry, *, sampled: bool) -> None:
        self.hold(held, held.size)
        self.entry = None if sampled else held

    def clear(self) -> None:
        self.hold(None)
        self.entry = None


class MemoryLevel:
    """The level in process. ``peek`` is ``get`` without the cost of a coroutine."""

    is_shared = False
    has_room = True

    def __init__(
        self,
        settings: MemorySettings,
        telemetry: Telemetry,
        clock: Clock | None = None,
        *,
        name: str = L1,
    ) -> None:
        self.name = name
        self._max_bytes = settings.max_bytes
        self._most_bytes = int(settings.max_bytes * SMALL_SHARE)
        self._nodes: dict[bytes, _Node] = {}
        self._num_entries = 0
        self._shares: Shares[Entry] = Shares(settings.max_bytes)
        # Without a clock nothing expires: time stands still at 0.
        self._steady = clock.steady if clock else float
        self._emit = telemetry.emit
        self._miss = CacheLookedUp(self.name, "miss")
        self._left = {cause: [0, 0] for cause in EVICTION_CAUSES}
        self._estimate = Estimate(settings.max_bytes, (256 - _SAMPLED_FROM) / 256)
        self._sampled_from = _SAMPLED_FROM if settings.estimate else 256

    def __repr__(self) -> str:
        mebibytes = f"{self.taken_bytes / (1 << 20):.1f} of {self._max_bytes / (1 << 20):.1f} MiB"
        parts = [
            f"{share.holder}: {share.fifo.shape}" if share.holder else share.fifo.shape
            for share in self._shares
        ]
        more = f" and {len(parts) - 3} quotas" if len(parts) > 3 else ""
        return f"<MemoryLevel {mebibytes}, {'; '.join(parts[:3])}{more}>"

    @property
    def taken_bytes(self) -> int:
        """Bytes now taken, by the same measure as ``MemorySettings.max_bytes``."""
        return self._shares.taken + self._estimate.bytes

    def occupancy(self) -> Occupancy:
        """Count everything anew; it takes as long as there are entries, so it is for checks only."""
        counted = [share.fifo.occupancy() for share in self._shares]
        small, main, ghosts, sizes = (sum(column) for column in zip(*counted, strict=True))
        return Occupancy(small, main, ghosts, sizes + self._estimate.bytes)

    def reserve(self, quotas: Mapping[str, float]) -> None:
        """Reserve for each of these holders its percent of the bytes; those of before hold no longer."""
        self._shares.reserve(quotas)

    async def hottest(self, percent: float) -> list[bytes]:
        """Return the keys of ``percent`` of the entries, those first that were hit most since their turn.

        It goes on in steps while others are served.
        """
        ranks: list[list[bytes]] = [[] for _ in range(2 * (MOST_HITS + 1))]
        for place, node in enumerate(list(self._nodes.values()), 1):
            if node.held is not None:
                by_hits = ranks[2 * node.hits + node.queue.owner.is_in_main(node)]
                by_hits.append(cast("bytes", node.key))
            if not place % _LOOKED_AT_ONCE:
                await asyncio.sleep(0)
        most, keys = math.ceil(self._num_entries * percent / 100), list[bytes]()
        for those in reversed(ranks):
            keys += those[: most - len(keys)]
        return keys

    def stats(self) -> LevelStats:
        """Return what it holds and what has left it."""
        largest = sorted(self._shares, key=lambda share: share.taken, reverse=True)[:_SHOWN_HOLDERS]
        return LevelStats(
            entries=self._num_entries,
            bytes=self.taken_bytes,
            max_bytes=self._max_bytes,
            evictions={cause: Evicted(*counts) for cause, counts in self._left.items()},
            holders=tuple(HolderBytes(share.holder, share.taken, share.reserved) for share in largest),
            estimates=self._estimate.ratios(),
        )

    def peek(self, key: bytes) -> Entry | None:
        """Return what is held under ``key``, now."""
        entry = self.glance(key)
        if entry is None:
            self._emit(self._miss)
            if key[0] >= self._sampled_from:
                self._estimate.looked_up(key)
        return entry

    def glance(self, key: bytes) -> Entry | None:
        """Return what ``peek`` returns, without an event where that is nothing."""
        node = self._nodes.get(key)
        if node is None or ((entry := node.entry) is None and (entry := self._sampled(node)) is None):
            return None
        if node.hits < MOST_HITS:
            node.hits += 1
        return entry

    def stored(self, key: bytes) -> Entry | None:
        """Return what is held under ``key``, and do not count it as a hit."""
        node = self._nodes.get(key)
        return None if node is None else node.held

    async def get(self, key: bytes) -> Entry | None:
        """Return what ``peek`` returns."""
        return self.peek(key)

    async def put(self, key: bytes, entry: Entry) -> None:
        """Hold ``entry``, or nothing under ``key`` when it is too large."""
        node = self._nodes.get(key)
        if entry.size > self._most_bytes:
            self._count("oversize", entry.size)
            if node is not None:
                self._clear(node, "replaced")
            return
        is_sampled = key[0] >= self._sampled_from
        if is_sampled:
            self._estimate.put(key, entry.size)
        share = self._shares.of(entry.holder)
        if node is not None and node.queue.owner is share.fifo:
            self._count_out(node, "replaced")
            node.replace(entry.at(self.name), sampled=is_sampled)
        else:
            if node is not None:
                # It was in another's queues: from now on it is on this holder's account.
                self._clear(node, "replaced")
            node = self._nodes[key] = _Node(key, entry.at(self.name), sampled=is_sampled)
            share.fifo.admit(node)
        self._num_entries += 1
        self._shares.weigh(share)
        while self.taken_bytes > self._max_bytes:
            self._evict(share)

    async def delete(self, key: bytes) -> None:
        """Forget ``key`` at once."""
        node = self._nodes.get(key)
        if node is not None:
            self._clear(node, "purged")

    async def forget(self, model: str) -> None:
        """Forget all answers of ``model``; others are given meanwhile."""
        for place, node in enumerate(list(self._nodes.values()), 1):
            is_its = node.held is not None and node.held.response.model == model
            # One that has left in the meantime is in no queue.
            if is_its and self._nodes.get(cast("bytes", node.key)) is node:
                self._clear(node, "purged")
            if not place % _LOOKED_AT_ONCE:
                await asyncio.sleep(0)

    async def aclose(self) -> None:
        """Forget everything."""
        self._nodes.clear()
        self._num_entries = 0
        self._shares = Shares(self._max_bytes)
        self._estimate.clear()

    def _sampled(self, node: _Node) -> Entry | None:
        """Return what a node without an ``entry`` holds all the same; it was hit."""
        if node.held is not None:
            self._estimate.looked_up(node.key)
        return node.held

    def _evict(self, putting: Share[Entry]) -> None:
        """Let one step of an eviction be done by who is furthest above its share."""
        share = self._shares.furthest_above()
        node, cause = share.fifo.evict(self._steady())
        if node is not None:
            key = cast("bytes", node.key)
            if self._nodes.get(key) is node:
                del self._nodes[key]
            self._count_out(node, cause if share is putting or cause == "expired" else "quota")
        self._shares.let_go(share)

    def _clear(self, node: _Node, cause: str) -> None:
        """Forget what ``node`` holds; its place leaves in its turn."""
        share = self._shares.that_has(node.queue.owner)
        self._count_out(node, cause)
        node.clear()
        self._shares.weigh(share)

    def _count_out(self, node: Node[Entry], cause: str) -> None:
        """Count what ``node`` holds, if it holds anything, as leaving."""
        if node.held is not None:
            self._num_entries -= 1
            self._count(cause, node.size)

    def _count(self, cause: str, size: int) -> None:
        counts = self._left[cause]
        counts[0] += 1
        counts[1] += size


_: type[NearLevel] = MemoryLevel
