"""What `sequence_batching` of a model's configuration orders. Names, values and defaults are Triton's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.core.tensor import Array

IDLE_US: Final = 1_000_000
"""`max_sequence_idle_microseconds` where it is 0 or not said."""


@dataclass(frozen=True, slots=True, eq=False)
class ControlInput:
    """An input that says where in its sequence a step stands; requests do not have it.

    ``false``, ``true``: the input of one row, in the graph's shape.
    """

    name: str
    false: Array
    true: Array


@dataclass(frozen=True, slots=True)
class CorrelationInput:
    """An input that is given the id of the sequence (CORRID), of ``datatype``, in the graph's ``shape``."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SequenceState:
    """A tensor that is held from step to step: the output ``output_name`` is the next step's ``input_name``.

    ``initial``: what the first step has.
    """

    input_name: str
    output_name: str
    initial: Array


@dataclass(frozen=True, slots=True, eq=False)
class SequenceSettings:
    """How the steps of sequences are run.

    Attributes:
        idle_s: a sequence with no step for so long ends.
        start, end, ready: None: the model does not want to know. ``ready`` is always true here: rows are of
            steps only, and there is no slot without one.
        correlation: the input that has the sequence's id; None: the model has none.
        states: what is held for each sequence.
        max_candidate_sequences: so many sequences are run at the same time, others wait for one to end; 0: as
            many as there are.
        preferred_batch_size, max_queue_delay_microseconds: of the batches that steps of several sequences
            make.
    """

    idle_s: float = IDLE_US / 1e6
    start: ControlInput | None = None
    end: ControlInput | None = None
    ready: ControlInput | None = None
    correlation: CorrelationInput | None = None
    states: tuple[SequenceState, ...] = ()
    max_candidate_sequences: int = 0
    preferred_batch_size: tuple[int, ...] = ()
    max_queue_delay_microseconds: int = 0

    def __repr__(self) -> str:
        return f"<SequenceSettings {', '.join(sorted(self.hidden_inputs())) or 'no inputs'}>"

    def hidden_inputs(self) -> frozenset[str]:
        """Return the inputs that requests do not have."""
        controls = (self.start, self.end, self.ready, self.correlation)
        return frozenset(
            [*(each.name for each in controls if each), *(each.input_name for each in self.states)]
        )

    def state_outputs(self) -> frozenset[str]:
        """Return the outputs that are held; clients get those that are declared as outputs as well."""
        return frozenset(each.output_name for each in self.states)
