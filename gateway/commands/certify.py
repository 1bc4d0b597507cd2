"""Certifying a pair of models: both run over one sample, on the machine and with the kernels that serve."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime

from edge_models.certificate import Certificate, sample_digest
from edge_models.certify import advice, calibrate
from edge_models.decision import Decision
from edge_models.isa import instruction_set_class
from edge_models.session import Session
from gateway.commands.certify_decision import Given, Wishes, alphabet_of, decide
from gateway.commands.certify_sample import UNNAMED, Sample
from gateway.core.tensor import Array

ROWS: Final = 64
"""Rows that are run at once."""

Outputs = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Measured:
    """What both models gave on a sample: how sure the edge is of each row, and where it is wrong.

    ``scores`` is [n]; ``wrong`` is [n, parts]. A model that joins no requests has one of each per run.
    """

    model: str
    decision: Decision
    scores: Array
    wrong: Array
    digests: Mapping[str, str]

    def certify(self, *, alpha: float, delta: float) -> Certificate:
        """Return what this proves, on this machine.

        Raises:
            ValueError: alpha or delta makes no sense.
        """
        proven = calibrate(self.scores, self.wrong, score=self.decision.score, alpha=alpha, delta=delta)
        return Certificate.of(
            proven,
            self.decision,
            model=self.model,
            instruction_set=instruction_set_class(),
            onnxruntime=onnxruntime.__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            **self.digests,
        )

    def advice(self, *, alpha: float, delta: float) -> str:
        """Return what it would take to prove more than nothing."""
        return advice(self.scores, self.wrong, alpha=alpha, delta=delta)


def certify_models(
    name: str,
    edge: Path,
    central: Path,
    sample: Array | Mapping[str, Array],
    *,
    wishes: Wishes | None = None,
    alpha: float = 0.02,
    delta: float = 0.05,
) -> Certificate:
    """Run both models over ``sample`` [n, ...] on this machine and certify the pair.

    Raises:
        ModelError: when a model cannot be loaded.
        GatewayError: when it cannot run on the sample.
        ValueError: when the sample cannot prove anything, or it is not certain what to compare.
    """
    return measure_models(name, edge, central, sample, wishes=wishes).certify(alpha=alpha, delta=delta)


def measure_models(
    name: str,
    edge: Path,
    central: Path,
    sample: Array | Mapping[str, Array],
    *,
    wishes: Wishes | None = None,
    advance: Callable[[int], None] = lambda _rows: None,
) -> Measured:
    """Run both models over ``sample``: one array [n, ...], or one per input.

    ``advance`` hears how many rows both models have run, of the rows of the sample.

    Raises:
        ModelError: when a model cannot be loaded.
        GatewayError: when it cannot run on the sample.
        ValueError: when the sample does not fit, or it is not certain what to compare.
    """
    arrays = sample if isinstance(sample, Mapping) else {UNNAMED: sample}
    sessions = Session(edge), Session(central)
    _check_inputs(*sessions)
    fitted = [Sample(arrays, session.inputs) for session in sessions]
    are_rows = all(session.batchable for session in sessions)
    at_once = ROWS if are_rows else max(sample.rows_of_run for sample in fitted)
    decision: Decision | None = None
    scores: list[Array] = []
    wrong: list[Array] = []
    for rows, outputs in _runs(sessions, fitted, at_once):
        if decision is None:
            decision = decide(_given(sessions, outputs), wishes or Wishes())
        _check_run(decision, outputs, rows if are_rows else None)
        one, other = _judge(decision, outputs, are_rows=are_rows)
        scores.append(one)
        wrong.append(other)
        advance(rows)
    assert decision is not None, "a sample has at least one row"
    digests = {
        "edge_digest": sessions[0].digest,
        "central_digest": sessions[1].digest,
        "sample_digest": sample_digest(arrays),
    }
    return Measured(name, decision, np.concatenate(scores), np.concatenate(wrong), digests)


def _runs(
    sessions: tuple[Session, Session], samples: list[Sample], at_once: int
) -> Iterable[tuple[int, tuple[Outputs, Outputs]]]:
    feeds = zip(*(sample.feeds(at_once) for sample in samples), strict=True)
    for (rows, for_edge), (_, for_central) in feeds:
        yield rows, (_run(sessions[0], for_edge), _run(sessions[1], for_central))


def _run(session: Session, feed: Mapping[str, Array]) -> Outputs:
    names = [spec.name for spec in session.outputs]
    return dict(zip(names, session.run(feed), strict=True))


def _given(sessions: tuple[Session, Session], outputs: tuple[Outputs, Outputs]) -> Given:
    alphabets = tuple(alphabet_of(session.metadata) for session in sessions)
    return Given(*outputs, alphabets=alphabets)


def _judge(decision: Decision, outputs: tuple[Outputs, Outputs], *, are_rows: bool) -> tuple[Array, Array]:
    """Return the scores and the disagreements of one run: row by row, or of the run as one."""
    edge, central = outputs
    wrong, confidences = decision.differs(edge, central), decision.confidences(edge)
    if are_rows:
        return np.minimum.reduce(confidences), wrong
    least = min(
        (float(np.minimum.reduce(one)) if one.size else np.nan for one in confidences), key=_nan_first
    )
    return np.array([least]), np.asarray(wrong.any(axis=0, keepdims=True))


def _nan_first(score: float) -> float:
    return -np.inf if np.isnan(score) else score


def _check_inputs(edge: Session, central: Session) -> None:
    """One request must fit both models."""
    taken = [{spec.name: spec.datatype for spec in session.inputs} for session in (edge, central)]
    if taken[0] != taken[1]:
        told = [", ".join(f"'{name}' {datatype}" for name, datatype in each.items()) for each in taken]
        raise ValueError(f"no request fits both models: the edge takes {told[0]}, central {told[1]}")


def _check_run(decision: Decision, outputs: tuple[Outputs, Outputs], rows: int | None) -> None:
    """Every run must be what the first one was taken for."""
    for rule in decision.outputs:
        for which, given in zip(("the edge model", "central"), outputs, strict=True):
            output = given[rule.name]
            if rows is not None and len(output) != rows:
                raise ValueError(
                    f"{which} gives {len(output)} rows of '{rule.name}' for {rows} rows of the sample: "
                    "which belongs to which is not known"
                )
            finite = (
                output[np.isfinite(output.reshape(len(output), -1)).all(axis=1)]
                if output.dtype.kind == "f"
                else output
            )
            if len(finite) and (problem := rule.problem(finite)):
                raise ValueError(
                    f"output '{rule.name}' of {which}, {rule}: it {problem} (--values says which)"
                )
