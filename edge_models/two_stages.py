"""A model in two files, served in two stages: its features are found or computed, then its head runs.

Each stage has a batcher of its own: requests whose features are held wait for nobody's backbone, and those
that need it share its runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np

from edge_models.batch import Feed
from edge_models.batching import Batcher
from edge_models.split_session import SplitSession
from gateway.core.cache_events import FeaturesComputed
from gateway.core.feature_store import Backbone, Features, FeatureStore
from gateway.core.request import Request
from gateway.core.telemetry import BatchRan, Event, QueueChanged, Telemetry
from gateway.core.tensor import BYTES, Array, Tensor, join_bytes

MOST_PARTS: Final = 64
"""Rows of a request that are looked up one by one; one of more is looked up as a whole."""


class TwoStages:
    """Runs what is not held of a backbone, and then its head.

    Args:
        session: of the model.
        batchers: of its backbone, and of its head.
        store: keeps features.
        runtime: what runs the backbone, as far as that changes bits.
        is_batched: the first dimension of tensors is rows.
    """

    def __init__(
        self,
        session: SplitSession,
        batchers: tuple[Batcher, Batcher],
        store: FeatureStore,
        *,
        runtime: str,
        is_batched: bool,
    ) -> None:
        features = session.features
        self._session = session
        self._batcher, self._head = batchers
        self._store = store
        self._names = [spec.name for spec in features.outputs]
        self._backbone = Backbone(features.digest, runtime, features.outputs, is_batched)
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __repr__(self) -> str:
        return f"<TwoStages {self._batcher} > {self._head}, {self._under_way} under way>"

    async def __call__(
        self, request: Request, feed: Feed, rows: int, priority: int = 0, scope: Hashable = ""
    ) -> tuple[list[Array], str]:
        """Return the head's outputs for ``feed``, and the level that held all of its features.

        A request whose answer may not be kept finds no features, and leaves none. It shares runs within
        ``scope``.

        Raises:
            GatewayError: as ``Batcher`` has it, for either.
        """
        with self._counted():
            given = self._session.for_features(feed)
            if request.key:
                features, level = await self._find(request, given, rows, priority, scope)
            else:
                made = await self._batcher(given, rows, request.deadline, priority, scope)
                features, level = dict(zip(self._names, made, strict=True)), ""
            for_head = self._session.for_head(feed, features)
            return await self._head(for_head, rows, request.deadline, priority, scope), level

    async def close(self) -> None:
        """Return when all that was accepted has been through both stages."""
        # A request between them, or one that waits for what is held elsewhere, is in neither queue.
        await self._idle.wait()
        await self._batcher.close()
        await self._head.close()

    async def _find(
        self, request: Request, given: dict[str, Array], rows: int, priority: int, scope: Hashable
    ) -> tuple[dict[str, Array], str]:
        count = rows if self._backbone.is_batched and rows <= MOST_PARTS else 1

        async def compute(places: Sequence[int]) -> list[Features]:
            some = given if len(places) == count else {name: each[places] for name, each in given.items()}
            ran = rows if count == 1 else len(places)
            # Others may wait for this when the request has left.
            with self._counted():
                made = await self._batcher(some, ran, request.deadline, priority, scope)
            return _parted(self._names, made, 1 if count == 1 else ran)

        parts = _parts(request, given, count)
        found = await self._store.find(request, self._backbone, parts, compute)
        return {name: _merged(place, found.parts) for place, name in enumerate(self._names)}, found.level

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()


class BackboneTelemetry:
    """Reports runs of a backbone as what they are: the model's own runs are those of its head."""

    def __init__(self, model: str, telemetry: Telemetry) -> None:
        self._model = model
        self._emit = telemetry.emit

    def __repr__(self) -> str:
        return f"<BackboneTelemetry {self._model}>"

    def emit(self, event: Event) -> None:
        """Pass on what is not about runs and queues of the model."""
        if isinstance(event, BatchRan):
            self._emit(FeaturesComputed(self._model, event.size, event.run_s))
        elif not isinstance(event, QueueChanged):
            self._emit(event)


def _parts(request: Request, given: Feed, count: int) -> list[list[Tensor]]:
    """Return the inputs ``given``, in the shapes that the graph has, as ``count`` parts."""
    sent = {tensor.name: tensor for tensor in request.inputs}
    columns = [_column(sent[name], array, count) for name, array in given.items()]
    return [list(part) for part in zip(*columns, strict=True)]


def _column(tensor: Tensor, array: Array, count: int) -> list[Tensor]:
    name, datatype, data = tensor.name, tensor.datatype, tensor.data
    if count == 1:
        return [Tensor(name, datatype, array.shape, data)]
    shape = (1, *array.shape[1:])
    if datatype == BYTES:
        return [Tensor(name, datatype, shape, join_bytes(row)) for row in array]
    view, size = memoryview(data), len(data) // count
    return [Tensor(name, datatype, shape, view[place * size : (place + 1) * size]) for place in range(count)]


def _parted(names: Sequence[str], made: Sequence[Array], count: int) -> list[Features]:
    if count == 1:
        return [tuple(Tensor.from_numpy(name, array) for name, array in zip(names, made, strict=True))]
    rows = [[array[nth : nth + 1] for array in made] for nth in range(count)]
    return [tuple(map(Tensor.from_numpy, names, row)) for row in rows]


def _merged(place: int, parts: Sequence[Features]) -> Array:
    arrays = [part[place].numpy() for part in parts]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
