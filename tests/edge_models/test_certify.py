"""The proof of a threshold: the walk, and its promise over many samples."""

from __future__ import annotations

import math
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import stats

from edge_models.bound import upper_bound
from edge_models.certify import (
    DEFER_ALL,
    THRESHOLDS,
    Calibration,
    advice,
    calibrate,
    certify,
    disagreement,
    outlook,
)
from gateway.core.tensor import Array

ALPHA, DELTA = 0.02, 0.05
SCORES = np.linspace(0.999, 0.501, 1000)
WRONG = (np.arange(1000) >= 500) | (np.arange(1000) % 100 == 7)


def binary(scores: Array, wrong: Array) -> tuple[Array, Array]:
    """Return edge and central probabilities of two classes: max probability ``scores``, ``wrong`` differ."""
    edge = np.stack([scores, 1 - scores], axis=1)
    central = np.where(wrong[:, np.newaxis], [0.0, 1.0], [1.0, 0.0])
    return edge, central


def calibrated(**changes: Any) -> Calibration:
    """Return a calibration of 1000 rows: the surer half is nearly always right, the other never."""
    edge, central = binary(SCORES, WRONG)
    return certify(edge, central, **{"score": "max_probability", "alpha": ALPHA, "delta": DELTA, **changes})


@pytest.mark.parametrize(("alpha", "least"), [(0.02, 149), (0.01, 299), (0.005, 598), (0.002, 1497)])
def test_fewest_rows_that_prove_anything(alpha: float, least: int) -> None:
    """Without one error, ln(delta) / ln(1 - alpha) rows are needed; with one row less all is deferred."""
    scores = np.full(least, 0.9)
    edge, central = binary(scores, np.zeros(least, bool))

    enough = certify(edge, central, score="max_probability", alpha=alpha)
    too_few = certify(edge[1:], central[1:], score="max_probability", alpha=alpha)

    assert enough.threshold == THRESHOLDS[-1]
    assert enough.coverage == 1
    assert too_few.threshold == DEFER_ALL
    assert (too_few.coverage, too_few.k, too_few.upper_bound) == (0, 0, 0)


@pytest.mark.parametrize(("alpha", "most"), [(0.02, 29), (0.01, 12), (0.005, 4), (0.002, 0)])
def test_most_errors_among_2000(alpha: float, most: int) -> None:
    """With 2,000 rows a threshold passes up to a known number of errors and not with one more."""
    thresholds = [0.9]

    def threshold(errors: int) -> float:
        edge, central = binary(np.full(2000, 0.95), np.arange(2000) < errors)
        return certify(edge, central, score="max_probability", alpha=alpha, thresholds=thresholds).threshold

    assert threshold(most) == 0.9
    assert threshold(most + 1) == DEFER_ALL


# The walk


def test_the_walk_stops_at_the_first_failure() -> None:
    """Errors only add up as thresholds fall, so below the first that failed none is taken."""
    scores = np.r_[np.full(100, 0.95), np.full(1900, 0.6)]
    edge, central = binary(scores, np.arange(2000) < 60)
    n = len(scores)

    result = certify(edge, central, score="max_probability", thresholds=[0.99, 0.9, 0.5])

    assert result.threshold == 0.99
    assert upper_bound(60, n, DELTA) > ALPHA


def test_what_is_accepted_is_counted() -> None:
    """k, n, coverage and the bound are those of the chosen threshold."""
    result = calibrated()

    accepted = SCORES >= result.threshold

    assert result.coverage == accepted.mean()
    assert result.k == int((accepted & WRONG).sum())
    assert result.upper_bound == pytest.approx(stats.beta.ppf(0.95, result.k + 1, 1000 - result.k))
    assert result.upper_bound <= ALPHA
    assert (result.n, result.thresholds, result.score) == (1000, 100, "max_probability")


def test_rows_that_tie_with_the_threshold_are_accepted() -> None:
    """A score equal to the threshold counts as accepted, as it is when serving."""
    edge, central = binary(np.full(200, 0.75), np.zeros(200, bool))

    result = certify(edge, central, score="max_probability", thresholds=[0.8, 0.75])

    assert result.threshold == 0.75
    assert result.coverage == 1


def test_tied_errors_fall_together() -> None:
    """Many rows of one score are accepted or deferred as one: none of their errors slips through."""
    edge, central = binary(np.full(1000, 0.75), np.arange(1000) < 500)

    result = certify(edge, central, score="max_probability", thresholds=[0.8, 0.75, 0.7])

    assert result.threshold == 0.8
    assert result.coverage == 0


@pytest.mark.parametrize("ill", [math.nan, math.inf, -math.inf])
def test_ill_rows_of_the_edge_defer(ill: float) -> None:
    """A row of NaN or infinity is never covered, so it cannot count as an error either."""
    edge, central = binary(np.full(1000, 0.9), np.zeros(1000, bool))
    edge[:400, 0] = ill

    result = certify(edge, central, score="max_probability")

    assert result.coverage == 0.6
    assert result.k == 0


def test_ill_rows_of_central_count_as_errors() -> None:
    """Central's NaN names no class, so the edge cannot be said to agree with it."""
    edge, central = binary(np.full(1000, 0.9), np.zeros(1000, bool))
    central[:400] = math.nan

    assert disagreement(edge, central).sum() == 400
    assert certify(edge, central, score="max_probability").coverage == 0


def test_the_grid_is_frozen() -> None:
    """One hundred falling thresholds in (0, 1), the same text on every platform, dense near 1."""
    assert len(THRESHOLDS) == 100
    assert all(one > two for one, two in pairwise(THRESHOLDS))
    assert THRESHOLDS[0] == 0.999999168
    assert THRESHOLDS[-1] == 0.047425873
    assert sum(0.9 < threshold for threshold in THRESHOLDS) > 50


# The promise


HARDEST = THRESHOLDS[70]


def draw(chance: np.random.Generator, n: int, factor: float) -> tuple[Array, Array]:
    """Draw scores, and errors that come ``factor`` times as often as the scores say."""
    scores = 0.5 + 0.5 * chance.beta(2.0, 0.5, n)
    return scores, chance.random(n) < factor * (1 - scores)


def naive(scores: Array, wrong: Array) -> float:
    """Return the lowest threshold of the grid whose empirical risk is within alpha."""
    safe = [t for t in THRESHOLDS if (wrong & (scores >= t)).mean() <= ALPHA]
    return min(safe, default=DEFER_ALL)


def test_the_promise_holds_over_500_calibrations_and_the_naive_rule_breaks_it() -> None:
    """Over many samples the risk exceeds alpha in at most a share delta of them, with binomial slack.

    The errors are scaled until one threshold of the grid is a hair's breadth too risky: the hardest case.
    """
    chance = np.random.default_rng(20261121)
    scores, _ = draw(chance, 1_000_000, 1.0)
    expected = {t: float(((1 - scores) * (scores >= t)).mean()) for t in (*THRESHOLDS, DEFER_ALL)}
    factor = 1.001 * ALPHA / expected[HARDEST]
    risk = {t: factor * share for t, share in expected.items()}
    trials, broken, naively_broken, coverage = 500, 0, 0, 0.0

    for _ in range(trials):
        sample = draw(chance, 2000, factor)
        result = certify(*binary(*sample), score="max_probability", alpha=ALPHA, delta=DELTA)
        broken += risk[result.threshold] > ALPHA
        naively_broken += risk[naive(*sample)] > ALPHA
        coverage += result.coverage / trials

    assert broken <= stats.binom.ppf(0.999, trials, DELTA)
    assert naively_broken > 6 * DELTA * trials
    assert coverage > 0.5


def test_the_promise_is_not_kept_by_being_idle() -> None:
    """Where the true risk at the lowest threshold is far below alpha, everything is covered."""
    chance = np.random.default_rng(7)
    scores = chance.uniform(0.5, 1, 2000)

    result = certify(*binary(scores, chance.random(2000) < 0.005), score="max_probability")

    assert result.coverage == 1


# Arguments


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": "softness"}, "unknown score 'softness': choose one of max_probability, margin, entropy"),
        ({"alpha": 0.0}, "alpha and delta must lie between 0 and 1"),
        ({"delta": 1.0}, "alpha and delta must lie between 0 and 1"),
        ({"alpha": math.nan}, "alpha and delta must lie between 0 and 1"),
        ({"thresholds": [0.5, 0.9]}, "thresholds must descend"),
        ({"thresholds": [0.5, 0.5]}, "thresholds must descend"),
        ({"thresholds": []}, "thresholds must descend"),
    ],
)
def test_senseless_terms_are_refused(change: dict[str, Any], message: str) -> None:
    """A term outside its range is a ValueError that says what is allowed."""
    with pytest.raises(ValueError, match=message):
        calibrated(**change)


@pytest.mark.parametrize("shapes", [((5, 2), (4, 2)), ((5, 2), (5, 3)), ((5,), (5,)), ((0, 2), (0, 2))])
def test_unlike_samples_are_refused(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    """Both models must have answered the same rows with the same classes."""
    with pytest.raises(ValueError, match="must have one shape"):
        certify(np.zeros(shapes[0]), np.zeros(shapes[1]), score="margin")


def test_no_scipy_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither certifying nor serving needs the extra."""
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.special", None)

    assert calibrated().k > 0


# What is not served however little it is


def test_an_edge_that_is_always_wrong_answers_nothing() -> None:
    """Few answers, all of them wrong, are within alpha of all requests; they are not what anybody wants."""
    scores = np.linspace(0.5, 0.999, 2000)

    result = calibrate(scores, np.ones(2000, np.bool_), score="max_probability")

    assert result.coverage == 0


def test_a_score_without_meaning_answers_nothing() -> None:
    """Half of what a coin decides is wrong, however sure it is."""
    chance = np.random.default_rng(5)

    result = calibrate(chance.random(2000), chance.random(2000) < 0.5, score="max_probability")

    assert result.coverage == 0


def test_the_worst_part_decides() -> None:
    """Of parts that are bounded by themselves, a threshold must suit each; k is the worst one's."""
    scores = np.full(2000, 0.9)
    wrong = np.zeros((2000, 3), np.bool_)
    wrong[:10, 0] = wrong[:25, 1] = True

    result = calibrate(scores, wrong, score="max_probability")
    wrong[:35, 2] = True

    assert (result.k, result.coverage) == (25, 1.0)
    assert calibrate(scores, wrong, score="max_probability").coverage == 0


@pytest.mark.parametrize(
    ("scores", "wrong", "message"),
    [
        (
            np.full(50, 0.9),
            np.zeros(50),
            "99 more rows would do at the rate seen: 0 of the 50 rows with a score",
        ),
        (np.full(200, 0.9), np.arange(200) < 1, "113 more rows would do"),
        (np.full(200, 0.9), np.ones(200), "no number of rows would do: 200 of the 200 rows"),
        (np.full(200, np.nan), np.zeros(200), "never sure, or gives NaN"),
    ],
)
def test_it_says_what_it_would_take(scores: Array, wrong: Array, message: str) -> None:
    """How many rows more at the rate seen, or that none would do."""
    wrong = wrong.astype(np.bool_)

    assert message in advice(scores, wrong, alpha=0.02, delta=0.05)


def test_it_says_what_more_rows_would_bring() -> None:
    """Where what was seen would do, if only it had been seen more often; else it does not say."""
    scores, wrong = np.r_[np.full(200, 0.9), np.full(100, 0.6)], np.arange(300) >= 297
    found = calibrate(scores, wrong, score="max_probability")

    assert found.coverage == pytest.approx(2 / 3)
    assert outlook(scores, wrong, found) == "290 more rows like these would let the edge answer 100.0%"
    more = calibrate(np.repeat(scores, 3), np.repeat(wrong, 3), score="max_probability")
    assert more.coverage == 1
    assert outlook(np.repeat(scores, 3), np.repeat(wrong, 3), more) == ""


def test_as_many_rows_as_it_says_are_enough() -> None:
    """Taken at its word, it proves something."""
    scores, wrong = np.full(100, 0.9), np.arange(100) < 1
    more = int(advice(scores, wrong, alpha=0.02, delta=0.05).split()[0])
    n = 100 + more

    grown = calibrate(np.full(n, 0.9), np.arange(n) < -(-n // 100), score="max_probability")

    assert grown.coverage == 1


def test_no_number_of_rows_is_promised_that_would_not_do() -> None:
    """One in a billion is not shown by any sample that somebody collects."""
    scores, wrong = np.full(400, 0.99), np.zeros(400, np.bool_)

    assert "not even 10,000,000 rows would do" in advice(scores, wrong, alpha=1e-9, delta=0.05)
    assert advice(scores[:148], wrong[:148], alpha=0.02, delta=0.05).startswith("1 more row would do")
