"""Certifying a pair of models: both run over one sample, on the machine and with the kernels that serve."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import onnxruntime

from edge_models.certificate import Certificate, sample_digest
from edge_models.certify import advice, calibrate, outlook
from edge_models.decision import Decision
from edge_models.inputs import ROWS as ANY_ROWS
from edge_models.inputs import Input
from edge_models.isa import instruction_set_class
from edge_models.session import ModelSession, choose_providers
from edge_models.settings import Provider
from edge_models.split_session import open_model
from gateway.commands.certify_checks import (
    check_alone,
    check_inputs,
    check_run,
    is_one_answer,
    notes,
    rows_of_a_request,
)
from gateway.commands.certify_decision import DecisionOptions, Given, alphabet_of, decide
from gateway.commands.certify_sample import UNNAMED, Sample
from gateway.core.tensor import Array

ROWS: Final = 64
"""Rows that are run at once."""

Outputs = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class PairMeasurement:
    """What both models gave on a sample: how confident the edge is in each row, and where it is wrong.

    ``scores`` is [n]; ``wrong`` is [n, parts]. A model that joins no requests has one of each per run.
    ``inputs``: the kind of inputs that the runs had. ``provider``: what the edge model ran on.
    ``notes`` are for the user.
    """

    model: str
    decision: Decision
    inputs: tuple[Input, ...]
    scores: Array
    wrong: Array
    digests: Mapping[str, str]
    provider: str
    notes: tuple[str, ...] = ()

    def certify(self, *, alpha: float, delta: float) -> Certificate:
        """Return what this proves, on this machine.

        Raises:
            ValueError: alpha or delta makes no sense.
        """
        proven = calibrate(self.scores, self.wrong, score=self.decision.score, alpha=alpha, delta=delta)
        return Certificate.of(
            proven,
            self.decision,
            inputs=self.inputs,
            model=self.model,
            instruction_set=instruction_set_class(),
            provider=self.provider,
            onnxruntime=onnxruntime.__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            **self.digests,
        )

    def advice(self, *, alpha: float, delta: float) -> str:
        """Return how much more would have to be shown to prove anything."""
        return advice(self.scores, self.wrong, alpha=alpha, delta=delta)

    def outlook(self, proven: Certificate) -> str:
        """Return how many rows more would let the edge answer much more; empty where that cannot be known."""
        return outlook(self.scores, self.wrong, proven)


def certify_models(
    name: str,
    edge: Path,
    central: Path,
    sample: Array | Mapping[str, Array],
    *,
    chosen: DecisionOptions | None = None,
    alpha: float = 0.02,
    delta: float = 0.05,
) -> Certificate:
    """Run both models over ``sample`` [n, ...] on this machine and certify the pair.

    Raises:
        ModelError: when a model cannot be loaded.
        GatewayError: when it cannot run on the sample.
        ValueError: when the sample cannot prove anything, or it is not certain what to compare.
    """
    return measure_models(name, edge, central, sample, chosen=chosen).certify(alpha=alpha, delta=delta)


def measure_models(
    name: str,
    edge: Path,
    central: Path,
    sample: Array | Mapping[str, Array],
    *,
    chosen: DecisionOptions | None = None,
    provider: Provider = "cpu",
    advance: Callable[[int], None] = lambda _rows: None,
) -> PairMeasurement:
    """Run both models over ``sample``: one array [n, ...], or one per input.

    ``provider`` runs the edge model, the CPU central. ``advance`` is called with the
    number of rows that both models have run since its last call.

    Raises:
        ModelError: when a model cannot be loaded.
        GatewayError: when it cannot run on the sample.
        ValueError: when the sample does not fit, or it is not certain what to compare.
    """
    arrays = sample if isinstance(sample, Mapping) else {UNNAMED: sample}
    trial = _Trial((_loaded(edge, provider), open_model(central)), arrays)
    runs = trial.runs()
    first = list(_first(runs))
    decision = decide(_given(trial.sessions, [run.outputs for run in first]), chosen or DecisionOptions())
    trial.check(decision, first[0])
    scores: list[Array] = []
    wrong: list[Array] = []
    is_constant = True
    for run in chain(first, runs):
        one, other = trial.judge(decision, run)
        scores.append(one)
        wrong.append(other)
        is_constant = is_constant and is_one_answer(decision, first[0].outputs[1], run.outputs[1])
        advance(run.rows)
    return PairMeasurement(
        name,
        decision,
        trial.seen(),
        np.concatenate(scores),
        np.concatenate(wrong),
        {**trial.digests(), "sample_digest": sample_digest(arrays)},
        trial.sessions[0].providers[0],
        notes(arrays, trial.rows, is_constant=is_constant),
    )


def _loaded(edge: Path, provider: Provider) -> ModelSession:
    available = onnxruntime.get_available_providers()
    session = open_model(edge, choose_providers([provider, "cpu"], available, provider))
    session.require(provider)
    return session


class PairRun(NamedTuple):
    """One run of both models: how many rows, what the edge got, and what both gave."""

    rows: int
    feed: Mapping[str, Array]
    outputs: tuple[Outputs, Outputs]


class _Trial:
    """Both models over one sample: run by run where both join requests, else request by request.

    Raises:
        ValueError: when the sample does not fit the models, or they do not fit each other.
    """

    def __init__(self, sessions: tuple[ModelSession, ModelSession], arrays: Mapping[str, Array]) -> None:
        check_inputs(*sessions)
        self.sessions = sessions
        self._samples = [Sample(arrays, session.inputs) for session in sessions]
        self.rows = self._samples[0].rows
        self._are_rows = all(session.batchable for session in sessions)
        self._at_once = ROWS if self._are_rows else rows_of_a_request(self._samples)
        # The edge batches requests and central does not: measured request by request, but served in batches.
        in_company = sessions[0].batchable and not self._are_rows
        self._company = self._companies() if in_company else None

    def runs(self) -> Iterator[PairRun]:
        """Run both models."""
        feeds = zip(*(sample.feeds(self._at_once) for sample in self._samples), strict=True)
        for (rows, for_edge), (_, for_central) in feeds:
            yield PairRun(
                rows, for_edge, (_run(self.sessions[0], for_edge), _run(self.sessions[1], for_central))
            )

    def check(self, decision: Decision, first: PairRun) -> None:
        """Check on the first run that the edge gives a row the same answer alone and among others."""
        check_run(decision, first.outputs, first.rows if self._are_rows else None)
        if self._are_rows:
            check_alone(decision, self.sessions[0], first.feed, first.outputs[0])

    def judge(self, decision: Decision, run: PairRun) -> tuple[Array, Array]:
        """Return the scores and the disagreements of one run; runs are judged in their order.

        A row may be served alone or among others: the higher score and the worse disagreement of both count.
        """
        outputs = [run.outputs]
        if self._are_rows:
            outputs.append((_alone(self.sessions[0], run), _alone(self.sessions[1], run)))
        elif self._company is not None:
            outputs.append((next(self._company), run.outputs[1]))
        judged = []
        for pair in outputs:
            check_run(decision, pair, run.rows if self._are_rows else None)
            judged.append(_judge(decision, pair, are_rows=self._are_rows))
        return np.fmax.reduce([one for one, _ in judged]), np.logical_or.reduce([each for _, each in judged])

    def seen(self) -> tuple[Input, ...]:
        """Return the kind of inputs that the runs have."""
        return self._samples[0].seen(ANY_ROWS if self._are_rows else self._at_once)

    def digests(self) -> dict[str, str]:
        """Return the models' digests."""
        return {"edge_digest": self.sessions[0].digest, "central_digest": self.sessions[1].digest}

    def _companies(self) -> Iterator[Outputs]:
        """Yield the edge's outputs for each request when several are run at once."""
        for rows, feed in self._samples[0].feeds(self._at_once * max(1, ROWS // self._at_once)):
            outputs = _run(self.sessions[0], feed)
            for start in range(0, rows, self._at_once):
                yield {name: array[start : start + self._at_once] for name, array in outputs.items()}


def _first(runs: Iterator[PairRun]) -> Iterator[PairRun]:
    """Take enough runs to see what kind of outputs these are."""
    rows = 0
    for run in runs:
        yield run
        rows += run.rows
        if rows >= ROWS:
            return


def _run(session: ModelSession, feed: Mapping[str, Array]) -> Outputs:
    names = [spec.name for spec in session.outputs]
    return dict(zip(names, session.run(feed), strict=True))


def _alone(session: ModelSession, run: PairRun) -> Outputs:
    """Return what a model gives to each row of a run by itself."""
    given = [
        _run(session, {name: array[i : i + 1] for name, array in run.feed.items()}) for i in range(run.rows)
    ]
    return {name: np.concatenate([each[name] for each in given]) for name in given[0]}


def _given(sessions: tuple[ModelSession, ModelSession], first: list[tuple[Outputs, Outputs]]) -> Given:
    alphabets = tuple(alphabet_of(session.metadata) for session in sessions)
    edge, central = (_as_one_run([pair[place] for pair in first]) for place in (0, 1))
    return Given(edge, central, alphabets=alphabets)


def _as_one_run(runs: list[Outputs]) -> Outputs:
    """Return the rows of several runs as one; where they are of several shapes, those of the first shape."""
    rows = {}
    for name, output in runs[0].items():
        same = [run[name] for run in runs if run[name].shape[1:] == output.shape[1:] and run[name].ndim]
        rows[name] = np.concatenate(same) if same else output
    return rows


def _judge(decision: Decision, outputs: tuple[Outputs, Outputs], *, are_rows: bool) -> tuple[Array, Array]:
    """Return the scores and the disagreements of one run: row by row, or of the run as one."""
    edge, central = outputs
    wrong, confidences = decision.differs(edge, central, as_one=not are_rows), decision.confidences(edge)
    if are_rows:
        return np.minimum.reduce(confidences), wrong
    least = min(
        (float(np.minimum.reduce(one)) if one.size else np.nan for one in confidences), key=_nan_first
    )
    return np.array([least]), wrong


def _nan_first(score: float) -> float:
    return -np.inf if np.isnan(score) else score
