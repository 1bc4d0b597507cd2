"""The promise of a certificate, for every task: over many samples its risk is larger than alpha seldom enough."""

from __future__ import annotations

import math
import zlib
from typing import get_args

import numpy as np
import pytest
from numpy.random import Generator

from edge_models.certify import DEFER_ALL, THRESHOLDS, calibrate
from edge_models.decision import Decision, Task
from gateway.core.tensor import Array
from tests.edge_models.pairs import PAIRS, Outputs

DELTA, ROWS, POOL = 0.05, 400, 3000


class Truth:
    """One pair over a pool of requests, which stands for all requests: what is drawn from it has these risks.

    ``alpha`` is a hair's breadth below the risk of some threshold of the grid: the hardest case there is.
    """

    def __init__(self, chance: Generator, task: str) -> None:
        decision, edge, central = PAIRS[task](chance, POOL)
        self.scores, self.wrong = judged(decision, edge, central)
        accepted = self.scores[:, np.newaxis] >= np.array(THRESHOLDS)
        parts = self.wrong.T.astype(float) @ accepted / POOL
        self.risk = dict(zip(THRESHOLDS, parts.max(axis=0).tolist(), strict=True)) | {DEFER_ALL: 0.0}
        hard = sorted({risk for risk in self.risk.values() if 0.01 < risk < 0.3})
        self.alpha = 0.999 * float(chance.choice(hard)) if hard else 0.02

    def breaks(self, chance: Generator) -> tuple[bool, bool]:
        """Draw a sample; whether the certificate's promise is broken, and that of the naive rule."""
        drawn = chance.integers(0, POOL, ROWS)
        scores, wrong = self.scores[drawn], self.wrong[drawn]
        found = calibrate(scores, wrong, score="any", alpha=self.alpha, delta=DELTA)
        accepted = scores[:, np.newaxis] >= np.array(THRESHOLDS)
        seen = (wrong.T.astype(float) @ accepted / ROWS).max(axis=0)
        naive = min(
            (t for t, rate in zip(THRESHOLDS, seen, strict=True) if rate <= self.alpha), default=DEFER_ALL
        )
        return self.risk[found.threshold] > self.alpha, self.risk[naive] > self.alpha


def judged(decision: Decision, edge: Outputs, central: Outputs) -> tuple[Array, Array]:
    return np.minimum.reduce(decision.confidences(edge)), decision.differs(edge, central)


def most(trials: int) -> float:
    return trials * DELTA + 3 * math.sqrt(trials * DELTA * (1 - DELTA))


def play(task: str, pairs: int, draws: int) -> tuple[int, int]:
    chance = np.random.default_rng(zlib.crc32(task.encode()))
    broken = naively = 0
    for _ in range(pairs):
        truth = Truth(chance, task)
        for _ in range(draws):
            one, other = truth.breaks(chance)
            broken, naively = broken + one, naively + other
    return broken, naively


def test_every_task_has_pairs() -> None:
    """None is forgotten."""
    assert set(PAIRS) == set(get_args(Task))


@pytest.mark.parametrize("task", PAIRS)
def test_the_promise_holds_for_every_task(task: str) -> None:
    """500 samples of 50 random pairs; the naive rule breaks the same promise, or the test would see nothing."""
    broken, naively = play(task, pairs=50, draws=10)

    assert broken <= most(500)
    assert naively > most(500)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("task", PAIRS)
def test_the_promise_holds_for_each_of_many_pairs(task: str) -> None:
    """500 samples of each of 40 random pairs, each pair by itself."""
    chance = np.random.default_rng(zlib.crc32(task.encode()) + 1)
    for _ in range(40):
        truth = Truth(chance, task)
        # Of 280 pairs at their limit one or two would be above 3 sigma by chance: 4 are asked for here.
        broken = sum(truth.breaks(chance)[0] for _ in range(500))
        assert broken <= 500 * DELTA + 4 * math.sqrt(500 * DELTA * (1 - DELTA)), truth.alpha


@pytest.mark.parametrize("task", PAIRS)
def test_what_is_not_a_number_is_never_sure(task: str) -> None:
    """A row with NaN or infinity reaches no threshold, and equals nothing of central's."""
    chance = np.random.default_rng(3)
    decision, edge, central = PAIRS[task](chance, 50)
    for ill in (math.nan, math.inf, -math.inf):
        edge["o"][0] = ill
        scores, _ = judged(decision, edge, central)
        assert not scores[0] >= 0
        assert not decision.is_sure({name: output[:1] for name, output in edge.items()}, 0.0)


@pytest.mark.parametrize("task", PAIRS)
def test_no_row_is_neither_sure_nor_an_error(task: str) -> None:
    """A model may give as many rows as it likes."""
    decision, edge, central = PAIRS[task](np.random.default_rng(6), 10)
    none = {name: output[:0] for name, output in edge.items()}

    assert not decision.is_sure(none, 0.0)
    assert decision.differs(none, {name: output[:0] for name, output in central.items()}).shape[0] == 0


@pytest.mark.parametrize("task", PAIRS)
def test_a_row_is_judged_alike_alone(task: str) -> None:
    """Certified among 64 rows, served alone: the same bits."""
    chance = np.random.default_rng(4)
    for _ in range(10):
        decision, edge, central = PAIRS[task](chance, 64)
        together, _ = judged(decision, edge, central)
        alone = [
            judged(
                decision,
                {k: v[i : i + 1] for k, v in edge.items()},
                {k: v[i : i + 1] for k, v in central.items()},
            )
            for i in range(64)
        ]
        assert np.concatenate([scores for scores, _ in alone]).tobytes() == together.tobytes()


@pytest.mark.parametrize("task", PAIRS)
def test_a_model_agrees_with_itself(task: str) -> None:
    """Wherever it gives numbers."""
    decision, edge, _ = PAIRS[task](np.random.default_rng(5), 100)
    sound = np.isfinite(edge["o"].reshape(100, -1)).all(axis=1)

    assert not decision.differs(edge, edge)[sound].any()
