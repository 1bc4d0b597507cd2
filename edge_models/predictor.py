"""The Service that answers with the models of this process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol

import onnxruntime
from msgspec import structs

from edge_models.batch import Feed
from edge_models.batch_scope import ScopeOf, per_tenant
from edge_models.batching import MANY_INSTANCES, Batcher, Stoppable
from edge_models.configuration.scheduling import Scheduling
from edge_models.configuration.served_tensors import Reshape
from edge_models.errors import ModelError
from edge_models.executors import Executors, LoopExecutor, ThreadExecutor
from edge_models.loop_guard import LoopGuard
from edge_models.registry import Model, Registry
from edge_models.sequences.batcher import SequenceBatcher, sequence_batcher
from edge_models.sequences.configured import batching_of
from edge_models.sequences.step import Step, step_of
from edge_models.session import StoppableRun
from edge_models.settings import BatchingSettings
from edge_models.signature import Signature
from edge_models.split_session import SplitSession
from edge_models.two_stages import BackboneTelemetry, TwoStages
from gateway.core.catalog import unknown_model
from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError
from gateway.core.feature_store import FeatureStore
from gateway.core.request import CENTRAL, PRIORITY, Provenance, Request, Response
from gateway.core.service import Pending, Service
from gateway.core.telemetry import BatchRan, Telemetry
from gateway.core.tensor import Array, Tensor

CLOSE_S: Final = 1.0
"""Seconds that accepted requests have when a process leaves, after those that they had to drain."""
RETIRE_S: Final = 5.0
"""Seconds that an order to load or unload waits for the runs of the model before; they go on after that."""
MOST_GIVEN_UP: Final = 8
"""Runs that do not end and keep a thread and a core each. With as many, no model is loaded any more."""

_log = logging.getLogger(__name__)


class Closable(Protocol):
    """A queue, or several that requests go through."""

    async def close(self) -> None:
        """Finish what was accepted."""
        ...


@dataclass(slots=True, eq=False)
class Lane:
    """All that a request for one version of one model needs.

    ``batcher``: the queue for the threads. ``inline_batcher``: that for the event loop, of requests of at
    most ``inline_max_rows`` rows; None when such requests run at once, each alone. ``inline_run``: what those
    run by. ``inline_max_rows`` becomes 0 when a run on the event loop had to be stopped. ``from_graph``: what
    gives outputs another shape. ``sequences``: of a model with state, whose requests are steps: the way to
    ``batcher``. ``stages``: of a model in two files whose features are kept: what runs it, on threads.
    """

    model: Model
    signature: Signature
    batcher: Batcher
    inline_max_rows: int
    inline_batcher: Batcher | None
    inline_run: StoppableRun
    provenance: Provenance
    from_graph: Mapping[str, Reshape]
    sequences: SequenceBatcher | None = None
    stages: TwoStages | None = None

    def batchers(self) -> Sequence[Closable]:
        """Return its queues."""
        if (way := self.sequences or self.stages) is not None:
            return [way]
        return [self.batcher] if self.inline_batcher is None else [self.batcher, self.inline_batcher]

    def leave_loop(self) -> None:
        """Run on threads from now on: a run on the event loop took so long that it was stopped."""
        self.inline_max_rows = 0
        _log.error(
            "model %s held the event loop until its run was stopped; from now on it runs on threads, "
            "whatever `inline_max_rows` says",
            self.model.name,
        )


class Predictor:
    """Checks a request against its model, runs it, in a batch where it can, and names what answered.

    An answer of the edge tier is uncertified here: only Cascade knows what a certificate covers. Values
    that are not finite are answered as they are.

    Args:
        registry: the models that are loaded when it starts.
        executor: the threads; Predictor closes them.
        batching: settings by model name.
        region: where this process stands.
        origin: ``edge`` or ``central``.
        clock: time for queues.
        telemetry: gets batches and queues.
        features: keeps what backbones compute; None: nothing does.
        scope_of: within whom requests may share a batch.

    Raises:
        ModelError: when a model is to run on the event loop but the size of its rows is free.
    """

    def __init__(
        self,
        registry: Registry,
        executor: ThreadExecutor,
        *,
        batching: Mapping[str, BatchingSettings],
        region: str,
        origin: str,
        clock: Clock,
        telemetry: Telemetry,
        features: FeatureStore | None = None,
        scope_of: ScopeOf = per_tenant,
    ) -> None:
        self._features = features
        self._scope_of = scope_of
        self._executor = executor
        self._batching = batching
        self._telemetry = telemetry
        self._clock = clock
        self._origin, self._region = origin, region
        self._guard = LoopGuard()
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._closing: set[asyncio.Task[None]] = set()
        for lane in self.open(registry):
            self._put(lane)

    def __repr__(self) -> str:
        return f"<Predictor {' '.join(map(repr, self._batchers()))} on {self._executor}>"

    def __call__(self, request: Request) -> Response | Pending:
        """Answer from the model: at once what runs on the event loop.

        Raises:
            GatewayError: NOT_FOUND; INVALID for tensors that the model does not take; OVERLOADED,
                DEADLINE, UNAVAILABLE as Batcher has it; INTERNAL when the run fails.
        """
        lane = self._lanes.get((request.model, request.version))
        if lane is None:
            known = (request.model, "") in self._lanes
            raise unknown_model(request.model, request.version if known else "")
        feed, rows = lane.signature.accept(request.inputs)
        if lane.sequences is not None:
            return self._step(lane, lane.sequences, feed, step_of(request, rows), request)
        if lane.stages is not None:
            return self._in_two_stages(lane, lane.stages, feed, rows, request)
        if rows > lane.inline_max_rows:
            return self._queue(lane, lane.batcher, feed, rows, request)
        if lane.inline_batcher is not None:
            return self._queue(lane, lane.inline_batcher, feed, rows, request)
        selected = lane.signature.select(request.outputs)
        arrays = self._run_inline(lane, feed, rows)
        if arrays is None:
            return self._queue(lane, lane.batcher, feed, rows, request)
        return _response(lane, selected, arrays)

    async def close(self) -> None:
        """Finish what was accepted, stop what does not finish, then end the threads."""
        closing = {*map(_closing, self._batchers()), *self._closing}
        if not await _ended(closing, CLOSE_S):
            self._executor.end_runs()
            await _ended(closing, CLOSE_S)
        self._executor.close()
        self._guard.close()

    def is_overrun(self) -> bool:
        """Whether so many runs do not end that no other model should be loaded."""
        return self._executor.given_up >= MOST_GIVEN_UP

    def holds_sequences(self, request: Request) -> bool:
        """Whether ``request`` is for a model with state."""
        lane = self._lanes.get((request.model, request.version))
        return lane is not None and lane.sequences is not None

    def open(self, models: Iterable[Model]) -> list[Lane]:
        """Return what it takes to answer from ``models``; nothing answers from them yet.

        Raises:
            ModelError: when a model is to run on the event loop but the size of its rows is free.
        """
        return [self._open(model) for model in models]

    def put(self, name: str, lanes: Iterable[Lane]) -> list[Lane]:
        """Answer for ``name`` by ``lanes`` and no others; return those that did before."""
        before = [self._lanes.pop(key) for key in list(self._lanes) if key[0] == name]
        for lane in lanes:
            self._put(lane)
        return list(dict.fromkeys(before))

    async def retire(self, lanes: Iterable[Lane]) -> None:
        """Finish what lanes that are not in use any more have accepted; wait ``RETIRE_S`` for it at most."""
        # A request that found its lane a moment ago enters the queue within this turn of the loop.
        await asyncio.sleep(0)
        closing = [_closing(batcher) for lane in lanes for batcher in lane.batchers()]
        self._closing.update(closing)
        for each in closing:
            each.add_done_callback(self._closing.discard)
        await _ended(closing, RETIRE_S)

    async def _step(
        self, lane: Lane, sequences: SequenceBatcher, feed: Feed, step: Step, request: Request
    ) -> Response:
        selected = lane.signature.select(request.outputs)
        outputs = await sequences(step, feed, request.deadline, self._scope_of(request.caller))
        return _response(lane, selected, outputs)

    async def _in_two_stages(
        self, lane: Lane, stages: TwoStages, feed: Feed, rows: int, request: Request
    ) -> Response:
        selected = lane.signature.select(request.outputs)
        scope = self._scope_of(request.caller)
        outputs, level = await stages(request, feed, rows, _priority(request), scope)
        response = _response(lane, selected, outputs)
        if not level:
            return response
        return structs.replace(response, provenance=structs.replace(response.provenance, feature_level=level))

    async def _queue(self, lane: Lane, batcher: Batcher, feed: Feed, rows: int, request: Request) -> Response:
        selected = lane.signature.select(request.outputs)
        scope = self._scope_of(request.caller)
        outputs = await batcher(feed, rows, request.deadline, _priority(request), scope)
        return _response(lane, selected, outputs)

    def _put(self, lane: Lane) -> None:
        name, version = lane.model.name, lane.model.version
        self._lanes[name, version] = lane
        highest = self._lanes.setdefault((name, ""), lane)
        if int(version) > int(highest.model.version):
            self._lanes[name, ""] = lane

    def _batchers(self) -> list[Closable]:
        return [
            batcher for (_, version), lane in self._lanes.items() if version for batcher in lane.batchers()
        ]

    def _open(self, model: Model) -> Lane:
        scheduling = model.scheduling(self._batching.get(model.name))
        if model.sequences is not None:
            scheduling = replace(scheduling, batching=batching_of(model.sequences, scheduling.batching))
        settings = scheduling.batching
        inline_max_rows = _inline_max_rows(model, scheduling)
        lane = Lane(
            model=model,
            signature=Signature(model.spec, max_rows=scheduling.max_rows, tensors=model.tensors),
            batcher=self._batcher(model, self._executor, scheduling),
            inline_max_rows=inline_max_rows,
            inline_batcher=None,
            inline_run=StoppableRun(model.session),
            from_graph=model.tensors.from_graph if model.tensors is not None else {},
            provenance=Provenance(
                self._origin,
                certified=self._origin == CENTRAL,
                region=self._region,
                digest=model.session.digest,
            ),
        )
        lane.stages = self._stages(model, scheduling)
        if model.sequences is not None:
            lane.sequences = sequence_batcher(model, model.sequences, lane.batcher, settings, self._clock)
        elif settings.inline_join and scheduling.merges:
            at_once = BatchingSettings(max_batch_size=inline_max_rows, max_queue_size=settings.max_queue_size)
            executor = LoopExecutor(self._guard, stopped=lane.leave_loop)
            lane.inline_batcher = self._batcher(model, executor, replace(scheduling, batching=at_once))
        return lane

    def _stages(self, model: Model, scheduling: Scheduling) -> TwoStages | None:
        """Return the way of a model's requests where features are kept; None: both parts run as one."""
        session, store = model.session, self._features
        is_kept = model.config is None or model.config.response_cache is not False
        if store is None or not isinstance(session, SplitSession) or model.sequences or not is_kept:
            return None
        backbone, head = (replace(model, session=part) for part in (session.features, session.head))
        telemetry = BackboneTelemetry(model.name, self._telemetry)
        return TwoStages(
            session,
            (
                self._batcher(backbone, self._executor, scheduling, telemetry),
                self._batcher(head, self._executor, scheduling),
            ),
            store,
            runtime=f"{session.features.providers[0]}/{onnxruntime.__version__}",
            is_batched=scheduling.max_rows is not None,
        )

    def _batcher(
        self,
        model: Model,
        executors: Executors,
        scheduling: Scheduling,
        telemetry: Telemetry | None = None,
    ) -> Batcher:
        return Batcher(
            model.name,
            model.session.run,
            executors,
            settings=scheduling.batching,
            clock=self._clock,
            telemetry=telemetry or self._telemetry,
            batchable=scheduling.merges,
            instances=scheduling.instances or MANY_INSTANCES,
            version=model.version,
            stoppable=Stoppable(
                partial(StoppableRun, model.session), model.limits.response_timeout_s, model.stuck
            ),
        )

    def _run_inline(self, lane: Lane, feed: Feed, rows: int) -> list[Array] | None:
        """Return the outputs; None when the run was stopped, and the lane has left the event loop."""
        run = lane.inline_run
        watch = self._guard.watch(run.stop)
        started = time.perf_counter()
        try:
            arrays = run(feed)
        except Exception:
            if not watch.end():
                raise
            lane.leave_loop()
            return None
        if watch.end():
            lane.inline_run = StoppableRun(lane.model.session)
        spent_s = time.perf_counter() - started
        self._telemetry.emit(BatchRan(lane.model.name, rows, 1, 0.0, spent_s, lane.model.version))
        return arrays


def _response(lane: Lane, selected: Sequence[tuple[str, int]], arrays: Sequence[Array]) -> Response:
    if lane.from_graph:
        arrays = _reshaped(lane, selected, arrays)
    outputs = tuple([Tensor.from_numpy(name, arrays[place]) for name, place in selected])
    return Response(lane.model.name, lane.model.version, outputs, lane.provenance)


def _priority(request: Request) -> int:
    priority = request.parameters.get(PRIORITY, 0)
    return priority if type(priority) is int else 0


def _reshaped(lane: Lane, selected: Sequence[tuple[str, int]], arrays: Sequence[Array]) -> Sequence[Array]:
    """Return the outputs as clients have them."""
    results = list(arrays)
    for name, place in selected:
        reshape = lane.from_graph.get(name)
        if reshape is not None:
            try:
                results[place] = reshape(results[place])
            except ValueError as error:
                raise GatewayError(
                    Fault.INTERNAL, f"output '{name}' of the model is not as its configuration has it"
                ) from error
    return results


def _closing(batcher: Closable) -> asyncio.Task[None]:
    return asyncio.create_task(batcher.close())


async def _ended(tasks: Collection[asyncio.Task[None]], timeout_s: float) -> bool:
    """Wait for ``tasks``, which go on when ``timeout_s`` has passed; whether all have ended."""
    return not tasks or not (await asyncio.wait(tasks, timeout=timeout_s))[1]


def _inline_max_rows(model: Model, scheduling: Scheduling) -> int:
    settings, has_batch = scheduling.batching, scheduling.max_rows is not None
    free = any(-1 in spec.shape[has_batch:] for spec in model.spec.inputs)
    if free and settings.inline_max_rows:
        raise ModelError(
            f"model '{model.name}' must not run on the event loop: the size of its rows is free, "
            "and with it the time that they take; drop `inline_max_rows`"
        )
    return settings.inline_max_rows


_: type[Service] = Predictor
