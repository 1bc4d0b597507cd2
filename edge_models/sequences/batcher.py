"""Runs the steps of sequences: those of one strictly in order, those of several together where they fit.

A step is run with the states that the one before it has left, and its own are kept when its caller gets its
answer, and only then: a step that failed, or whose caller has left or waited too long, has not happened. The
sequence goes on as it was, or has not begun.

Which steps share a run is up to ``edge_models.batching``: the states are rows of its inputs, so steps of
several sequences are a batch like any other.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Hashable, Sequence
from typing import Final, Protocol

import numpy as np

from edge_models.batch import Feed
from edge_models.registry import Model
from edge_models.sequences.open_sequences import OpenSequence, OpenSequences
from edge_models.sequences.settings import CorrelationInput, SequenceSettings
from edge_models.sequences.step import SequenceId, Step, must_start
from edge_models.settings import BatchingSettings
from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError
from gateway.core.tensor import BYTES, DATATYPES, Array

MOST_IN_LINE: Final = 64
"""Steps of one sequence that may wait for each other."""


_LEAST_WAIT_S, _MOST_WAIT_S = 0.001, 3600.0
"""Of the timer: two clocks need not agree to the millisecond, and a file may say thousands of years."""


class RowRunner(Protocol):
    """Runs rows of several requests (``edge_models.batching.Batcher``)."""

    def __call__(
        self, feed: Feed, rows: int, deadline: float = math.inf, priority: int = 0, scope: Hashable = ""
    ) -> Awaitable[list[Array]]:
        """Return the outputs for ``feed``, run alone or in company of its ``scope``."""
        ...

    async def close(self) -> None:
        """Finish what was accepted."""
        ...


class SequenceBatcher:
    """The sequences of one version of a model.

    Args:
        model: its name.
        settings: of its sequences.
        batcher: runs a step, alone or in company.
        outputs: the names of the graph's outputs, in their order.
        shown: those that a client may get, in their order.
        max_sequences, max_state_bytes: bounds over all tenants.
        max_queue_size: steps that may be under way or wait.
    """

    def __init__(
        self,
        model: str,
        settings: SequenceSettings,
        batcher: RowRunner,
        *,
        outputs: Sequence[str],
        shown: Sequence[str],
        max_sequences: int,
        max_state_bytes: int,
        max_queue_size: int,
        clock: Clock,
    ) -> None:
        self._model, self._settings, self._batcher = model, settings, batcher
        self._shown = [outputs.index(name) for name in shown]
        self._held = [outputs.index(state.output_name) for state in settings.states]
        self._initial = tuple(state.initial for state in settings.states)
        self._max_queue, self._clock = max_queue_size, clock
        self._open = OpenSequences(
            model,
            idle_s=settings.idle_s,
            most=max_sequences,
            most_bytes=max_state_bytes,
            ended=self._ended,
        )
        most = settings.max_candidate_sequences
        self._places = asyncio.Semaphore(most) if most else None
        self._num_steps = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._drained = asyncio.Event()

    def __repr__(self) -> str:
        closed = " closed" if self._closed else ""
        return f"<SequenceBatcher {self._open!r}, {self._num_steps} steps, {self._batcher!r}{closed}>"

    async def __call__(
        self, step: Step, feed: Feed, deadline: float = math.inf, scope: Hashable = ""
    ) -> list[Array]:
        """Return the outputs that are shown, of one row, once the steps before it are done.

        It may share a run with other steps of its ``scope``.

        Raises:
            GatewayError: INVALID when its sequence has not begun, or the model cannot take its id; OVERLOADED
                when there are too many sequences, steps, or bytes of states; else as the batcher has it.
        """
        controls = self._controls(step)
        sequence = self._find(step)
        self._num_steps += 1
        try:
            await sequence.enter()
            try:
                if not (step.is_start or sequence.has_begun):
                    # It came while START was under way, which has failed since.
                    raise must_start(self._model, step.id)
                await self._become_candidate(sequence)
                outputs = await self._run(sequence, {**feed, **controls}, deadline, scope)
                sequence.has_begun = True
                return outputs
            finally:
                sequence.leave()
        finally:
            self._num_steps -= 1
            self._open.leave(step.key, sequence, self._clock.now())
            self._note_if_drained()

    async def close(self) -> None:
        """Take no more, finish the steps that were accepted, and end all sequences."""
        self._closed = True
        self._note_if_drained()
        await self._drained.wait()
        self._open.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._batcher.close()

    def _find(self, step: Step) -> OpenSequence:
        """Return the sequence of ``step``, which it may begin or end, with the step counted."""
        if self._closed:
            raise GatewayError(Fault.UNAVAILABLE, f"model '{self._model}' is shutting down", retryable=True)
        if self._num_steps >= self._max_queue:
            raise self._overloaded(f"the queue of model '{self._model}' is full ({self._max_queue} requests)")
        now = self._clock.now()
        sequence = self._open.begin(step.key, now) if step.is_start else self._open.find(step.key, now)
        if sequence is None:
            raise must_start(self._model, step.id)
        if sequence.num_steps >= MOST_IN_LINE:
            raise self._overloaded(f"{MOST_IN_LINE} steps of this sequence wait for each other")
        self._watch()
        sequence.num_steps += 1
        if step.is_end:
            self._open.end(step.key)
        return sequence

    async def _become_candidate(self, sequence: OpenSequence) -> None:
        if self._places is not None and not sequence.is_candidate:
            await self._places.acquire()
            sequence.is_candidate = True

    async def _run(
        self, sequence: OpenSequence, feed: dict[str, Array], deadline: float, scope: Hashable
    ) -> list[Array]:
        states = sequence.states or self._initial
        for state, array in zip(self._settings.states, states, strict=True):
            feed[state.input_name] = array
        outputs = await self._batcher(feed, 1, deadline, scope=scope)
        # Not before the answer is there, and not when its caller has left: then this line is not reached.
        if self._held and not (sequence.is_over and sequence.num_steps == 1):
            self._open.hold(sequence, [outputs[place] for place in self._held])
        return [outputs[place] for place in self._shown]

    def _controls(self, step: Step) -> dict[str, Array]:
        settings, found = self._settings, {}
        for control, value in (
            (settings.start, step.is_start),
            (settings.end, step.is_end),
            (settings.ready, True),
        ):
            if control is not None:
                found[control.name] = control.true if value else control.false
        if settings.correlation is not None:
            found[settings.correlation.name] = _correlation(self._model, settings.correlation, step.id)
        return found

    def _watch(self) -> None:
        """Set the timer for the sequence that has been idle longest."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(min(self._settings.idle_s, _MOST_WAIT_S), self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self._clock.now()
        due = self._open.expire(now)
        if due is not None:
            wait_s = min(max(due - now, _LEAST_WAIT_S), _MOST_WAIT_S)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._expire)

    def _ended(self, sequence: OpenSequence) -> None:
        if sequence.is_candidate and self._places is not None:
            self._places.release()

    def _note_if_drained(self) -> None:
        if self._closed and not self._num_steps:
            self._drained.set()

    def _overloaded(self, why: str) -> GatewayError:
        return GatewayError(Fault.OVERLOADED, f"{why}: try again later", retryable=True, retry_after_s=0.1)


def sequence_batcher(
    model: Model, sequences: SequenceSettings, batcher: RowRunner, settings: BatchingSettings, clock: Clock
) -> SequenceBatcher:
    """Return the sequences of a loaded ``model``, whose steps ``batcher`` runs."""
    return SequenceBatcher(
        model.name,
        sequences,
        batcher,
        outputs=[spec.name for spec in model.session.outputs],
        shown=[spec.name for spec in model.spec.outputs],
        max_sequences=model.limits.max_sequences,
        max_state_bytes=model.limits.max_sequence_state_mib << 20,
        max_queue_size=settings.max_queue_size,
        clock=clock,
    )


def _correlation(model: str, control: CorrelationInput, number: SequenceId) -> Array:
    """Return the input that has the sequence's id.

    Raises:
        GatewayError: INVALID when it does not fit.
    """
    if control.datatype == BYTES:
        if isinstance(number, str):
            return np.full(control.shape, number.encode(), object)
        raise GatewayError(Fault.INVALID, f"model '{model}' must have a text as sequence_id")
    dtype = DATATYPES[control.datatype]
    if isinstance(number, str) or not np.iinfo(dtype).min <= number <= np.iinfo(dtype).max:
        raise GatewayError(
            Fault.INVALID, f"model '{model}' must have a whole number of {control.datatype} as sequence_id"
        )
    return np.full(control.shape, number, dtype)
