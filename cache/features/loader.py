"""Vectors of entities out of memory, else from the store: in few round trips, and each entity once.

What several requests miss in one turn of the event loop leaves in one round trip, as long as it is at most
``max_batch`` entities. An entity that is being fetched is not fetched again: who wants it meanwhile waits for
the same round trip. A round trip belongs to nobody: who leaves takes nothing from the others, and it ends by
its own limit of time, which the store keeps.

An entity that the store does not have is remembered as absent for a short time, in a memory of its own. While
the store cannot be asked, a vector past its freshness stands in for up to ``stale_if_error_s``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from cache.features.memory import Kept, VectorMemory
from cache.features.settings import FeaturesSettings, StoreSettings
from cache.features.stores.store import Outcome, Store
from cache.features.vectors import StoreError
from gateway.core.clock import Chance, Clock
from gateway.core.feature_events import FeaturesFetched, FeaturesLookedUp
from gateway.core.telemetry import Telemetry

MOST_WAITING: Final = 32_768
"""Entities that are being fetched; what is beyond fails at once."""


class LoadedVector(NamedTuple):
    """What there is of one entity. ``data``: raw float32, None where it is absent or not to be had.

    ``is_known``: False where the store could not be asked. ``is_stale``: it is past its freshness.
    """

    data: bytes | None
    is_known: bool = True
    is_stale: bool = False


ABSENT: Final = LoadedVector(None)
FAILED: Final = LoadedVector(None, is_known=False)


class _Batch:
    """Entities of one round trip, and what it brought."""

    __slots__ = ("done", "found", "names")

    def __init__(self) -> None:
        self.names: list[bytes] = []
        self.found: Mapping[bytes, LoadedVector] = {}
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class FeatureLoader:
    """The vectors of one store. ``is_absent``: whether an entity is known not to be there.

    It closes what it has under way; the store is its maker's to close.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        settings: StoreSettings,
        limits: FeaturesSettings,
        *,
        clock: Clock,
        chance: Chance,
        telemetry: Telemetry,
        is_absent: Callable[[bytes], bool] = lambda _name: False,
    ) -> None:
        self.name = name
        self.settings = settings
        self.vectors = VectorMemory(limits.max_bytes)
        self.absent = VectorMemory(limits.max_negative_bytes)
        self._store, self._chance, self._is_absent = store, chance, is_absent
        self._steady, self._emit = clock.steady, telemetry.emit
        self._waiting: dict[bytes, _Batch] = {}
        self._gathering: _Batch | None = None
        self._running: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return (
            f"<FeatureLoader {self.name}, {len(self.vectors)} vectors, {len(self.absent)} absent,"
            f" {len(self._waiting)} being fetched>"
        )

    def glance(self, names: Sequence[bytes]) -> list[bytes] | None:
        """Return the vectors of ``names`` if all are in memory and fresh. Nothing is counted."""
        now, get = self._steady(), self.vectors.get
        vectors: list[bytes] = []
        for name in names:
            kept = get(name)
            if kept is None or now >= kept.soft_expiry or kept.vector is None:
                return None
            vectors.append(kept.vector)
        return vectors

    def count_hits(self, count: int) -> None:
        """Take note that ``count`` entities that ``glance`` gave were of use."""
        self._emit(FeaturesLookedUp(self.name, "hit", count))

    async def load(self, names: Iterable[bytes]) -> Mapping[bytes, LoadedVector]:
        """Return what there is of each of ``names``, once each; what is not in memory is fetched."""
        now = self._steady()
        found: dict[bytes, LoadedVector] = {}
        batches: dict[_Batch, list[bytes]] = {}
        counts: Counter[str] = Counter()
        for name in dict.fromkeys(names):
            outcome, vector = self._look(name, now)
            if vector is None:
                outcome, batch = self._join(name)
                if batch is not None:
                    batches.setdefault(batch, []).append(name)
                else:
                    found[name] = self._stand_in(name)
            else:
                found[name] = vector
            counts[outcome] += 1
        for outcome, count in counts.items():
            self._emit(FeaturesLookedUp(self.name, outcome, count))
        if batches:
            # Not gather: it would cancel, for all others, what one waiter leaves.
            await asyncio.wait([batch.done for batch in batches])
            for batch, wanted in batches.items():
                found.update((name, batch.found.get(name, FAILED)) for name in wanted)
        return found

    def spoil(self, name: bytes) -> None:
        """Forget the vector of ``name``, which is none of the model; it is fetched when it is next wanted."""
        self.vectors.drop(name)

    async def aclose(self) -> None:
        """Cancel what is under way; who waits gets nothing."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(set(self._running))
        self.vectors.clear()
        self.absent.clear()

    def _look(self, name: bytes, now: float) -> tuple[str, LoadedVector | None]:
        kept = self.vectors.get(name)
        if kept is not None and now < kept.soft_expiry:
            return "hit", LoadedVector(kept.vector)
        gone = self.absent.get(name)
        if gone is not None and now < gone.soft_expiry:
            return "negative", ABSENT
        if self._is_absent(name):
            return "bloom_skipped", ABSENT
        return "miss", None

    def _join(self, name: bytes) -> tuple[str, _Batch | None]:
        """Return the round trip that brings ``name``; None: too many are under way."""
        batch = self._waiting.get(name)
        if batch is not None:
            return "joined", batch
        if len(self._waiting) >= MOST_WAITING:
            return "refused", None
        batch = self._gathering
        if batch is None:
            batch = self._gathering = _Batch()
            asyncio.get_running_loop().call_soon(self._send, batch)
        batch.names.append(name)
        self._waiting[name] = batch
        if len(batch.names) >= self.settings.max_batch:
            self._gathering = None
        return "miss", batch

    def _send(self, batch: _Batch) -> None:
        if self._gathering is batch:
            self._gathering = None
        task = asyncio.create_task(self._fetch(batch))
        self._running.add(task)
        task.add_done_callback(partial(self._finish, batch))

    def _finish(self, batch: _Batch, task: asyncio.Task[None]) -> None:
        # Here and not in the task: one that is cancelled before it begins does nothing at all.
        self._running.discard(task)
        for name in batch.names:
            self._waiting.pop(name, None)
        batch.done.set_result(None)

    async def _fetch(self, batch: _Batch) -> None:
        try:
            outcomes = await self._store.fetch(batch.names)
        except StoreError as error:
            self._emit(FeaturesFetched(self.name, error.reason, failed=len(batch.names)))
            batch.found = {name: self._stand_in(name) for name in batch.names}
        else:
            batch.found = self._take(batch.names, outcomes)

    def _take(self, names: Sequence[bytes], outcomes: Sequence[Outcome]) -> Mapping[bytes, LoadedVector]:
        now, counts = self._steady(), Counter[str]()
        found: dict[bytes, LoadedVector] = {}
        for name, outcome in zip(names, outcomes, strict=True):
            if isinstance(outcome, StoreError):
                counts["failed"] += 1
                found[name] = self._stand_in(name)
            elif outcome is None:
                counts["absent"] += 1
                found[name] = ABSENT
                self._keep_absent(name, now)
            else:
                counts["found"] += 1
                found[name] = LoadedVector(outcome)
                self._keep(name, outcome, now)
        self._emit(FeaturesFetched(self.name, "ok", **counts))
        return found

    def _keep(self, name: bytes, vector: bytes, now: float) -> None:
        soft_expiry = now + self._jittered(self.settings.ttl_s)
        self.absent.drop(name)
        self.vectors.put(name, Kept(vector, soft_expiry, soft_expiry + self.settings.stale_if_error_s))

    def _keep_absent(self, name: bytes, now: float) -> None:
        expiry = now + self._jittered(self.settings.negative_ttl_s)
        self.vectors.drop(name)
        if expiry > now:
            self.absent.put(name, Kept(None, expiry, expiry))

    def _stand_in(self, name: bytes) -> LoadedVector:
        kept = self.vectors.get(name)
        if kept is None or self._steady() >= kept.hard_expiry:
            return FAILED
        return LoadedVector(kept.vector, is_stale=True)

    def _jittered(self, seconds: float) -> float:
        return seconds * self._chance.uniform(1 - self.settings.jitter, 1 + self.settings.jitter)
