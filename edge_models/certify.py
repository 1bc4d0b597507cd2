"""The proof that a cascade threshold is safe.

The risk is the share of all requests that the edge answers otherwise than central would:
``R(t) = P(score >= t and edge != central)``. It needs no labels, it only grows as t falls, and the
cascade's accuracy is at least central's minus R(t). What ``!=`` means is the task's (``edge_models.tasks``).

The threshold comes from Learn-then-Test with a fixed sequence (Angelopoulos et al., arXiv 2110.01052):
walk down a grid of thresholds that was fixed before any data were seen; at each, test R(t) > alpha by
the exact one-sided Clopper-Pearson bound; stop at the first that fails and keep the last that passed.
Because the walk stops at the first failure, every test may spend the whole delta, and
``P(R(chosen) > alpha) <= delta``. Taking instead the lowest threshold whose *empirical* risk is within
alpha breaks the promise about every second time.

Where several parts are bounded at once (the labels of a multilabel task, one by one), a threshold passes
when each of them does. That spends no more than delta either: a threshold that is too risky is so for some
part, and passes only if that part's test is wrong.

The risk is of all requests, so an edge model that is wrong in everything it answers would pass as long as it
answers little. A threshold is therefore only taken where the edge is right in most of what it answers:
``MOST_WRONG``. All thresholds that the walk has passed are safe at once, so choosing among them is free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
import numpy as np

from edge_models.bound import MOST_ROWS, rows_needed, upper_bound, upper_bounds
from edge_models.confidence import MEASURES
from gateway.core.tensor import Array

DEFER_ALL: Final = math.inf
"""The threshold that no score reaches: nothing could be proven, so central answers everything."""

_GRID_SIZE: Final = 100
_GRID_LOGITS: Final = (14.0, -3.0)


def _grid() -> tuple[float, ...]:
    first, last = _GRID_LOGITS
    step = (last - first) / (_GRID_SIZE - 1)
    return tuple(round(1.0 / (1.0 + math.exp(-(first + step * i))), 9) for i in range(_GRID_SIZE))


THRESHOLDS: Final = _grid()
"""The frozen, descending grid: even steps of log-odds, from 0.999999 to 0.047.

Scores of trained models crowd towards 1, so even steps of the score itself would leave nothing to choose
from where most rows are. The grid depends on no sample: choosing it by one would void the proof.
"""

MOST_WRONG: Final = 0.2
"""The upper bound, with the same confidence, of the share that differs among what the edge answers.

It is no promise, for it is looked at more than once: it keeps out scores without meaning. Where alpha is
more than this, alpha takes its place.
"""

_LIKELY: Final = 0.8
"""Share of the allowed risk: a pair that disagrees no more often is likely to be proven with more rows."""

_MUCH: Final = 0.05
"""Share of all rows: a gain in coverage of that much is worth reporting."""

_FAR: Final = 20
"""Times the rows of the sample: no larger sample is proposed."""

_FEW: Final = 20
"""The fewest rows of which a share means something."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Level = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_ROWS)]
Named = Annotated[str, msgspec.Meta(min_length=1)]


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What one sample proves.

    ``threshold``: the edge answers when its score is at least this. ``n``: rows in the sample.
    ``k``: those that the edge answers otherwise than central; of the worst part, where parts are bounded
    by themselves. ``coverage``: share that the edge answers. ``upper_bound``: of the risk, with confidence
    1 - ``delta``. ``thresholds``: size of the grid.
    """

    score: Named
    threshold: Annotated[float, msgspec.Meta(ge=0)]
    alpha: Level
    delta: Level
    n: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)]
    k: Count
    coverage: Share
    upper_bound: Share
    thresholds: Annotated[int, msgspec.Meta(ge=1)]


def calibrate(
    scores: Array,
    wrong: Array,
    *,
    score: str,
    alpha: float = 0.02,
    delta: float = 0.05,
    thresholds: Sequence[float] = THRESHOLDS,
) -> Calibration:
    """Find the lowest threshold that is proven safe on a sample of requests.

    Args:
        scores: ``float [n]``, by the very artefact that will serve; NaN reaches no threshold.
        wrong: ``bool [n]`` or ``[n, parts]``: where its answer is not central's.
        score: what the scores are called.
        alpha: the most risk allowed.
        delta: the chance, over samples, that the risk is larger nevertheless.
        thresholds: descending, chosen without looking at this sample.

    Returns:
        The calibration; its threshold is ``DEFER_ALL`` when not even the first of the grid passes.

    Raises:
        ValueError: an argument makes no sense.
    """
    grid = np.asarray(thresholds, dtype=np.float64)
    _check(grid, scores, wrong, levels=(alpha, delta))
    n = len(scores)
    accepted = scores[:, np.newaxis] >= grid
    errors, answered = _errors(accepted, wrong), np.count_nonzero(accepted, axis=0)
    bounds = upper_bounds(errors, n, delta)
    failures = np.flatnonzero(bounds > alpha)
    passed = int(failures[0]) if failures.size else grid.size
    usable = [i for i in range(passed) if is_useful(int(errors[i]), int(answered[i]), alpha, delta)]
    none, last = not usable, usable[-1] if usable else 0

    return Calibration(
        score=score,
        threshold=DEFER_ALL if none else float(grid[last]),
        alpha=alpha,
        delta=delta,
        n=n,
        k=0 if none else int(errors[last]),
        coverage=0.0 if none else float(accepted[:, last].mean()),
        upper_bound=0.0 if none else float(bounds[last]),
        thresholds=int(grid.size),
    )


def certify(
    edge_probabilities: Array,
    central_probabilities: Array,
    *,
    score: str,
    alpha: float = 0.02,
    delta: float = 0.05,
    thresholds: Sequence[float] = THRESHOLDS,
) -> Calibration:
    """Calibrate on probabilities of one of several classes, ``[n, classes]``, of edge and central.

    Raises:
        ValueError: an argument makes no sense.
    """
    edge, central = edge_probabilities, central_probabilities
    if score not in MEASURES:
        raise ValueError(f"unknown score '{score}': choose one of {', '.join(MEASURES)}")
    if edge.ndim != 2 or edge.shape != central.shape or edge.size == 0:
        raise ValueError(
            "edge and central probabilities must have one shape [n, classes], with n and classes at least 1;"
            f" got {list(edge.shape)} and {list(central.shape)}"
        )
    wrong = disagreement(edge, central)
    scores = MEASURES[score](edge)
    return calibrate(scores, wrong, score=score, alpha=alpha, delta=delta, thresholds=thresholds)


def disagreement(edge_probabilities: Array, central_probabilities: Array) -> Array:
    """Return ``bool [n]``: the classes differ, or central's row is not finite and names none."""
    differ: Array = edge_probabilities.argmax(axis=1) != central_probabilities.argmax(axis=1)
    return differ | ~np.isfinite(central_probabilities).all(axis=1)


def advice(scores: Array, wrong: Array, *, alpha: float, delta: float) -> str:
    """Return in a sentence what it would take, where a sample proved no threshold under which any row is.

    It looks for the threshold under which most rows are, of those where what was seen is at most half of
    what is allowed: there a larger sample of such rows is likely to do.
    """
    n = len(scores)
    grid = np.asarray(THRESHOLDS)
    accepted = scores[:, np.newaxis] >= grid
    errors, answered = _errors(accepted, wrong), np.count_nonzero(accepted, axis=0)
    places = np.flatnonzero(answered)
    if not places.size:
        return "no row has a score that reaches any threshold: the edge model is never sure, or gives NaN"
    most = max(MOST_WRONG, alpha)
    safe = places[(errors[places] <= alpha * n / 2) & (errors[places] <= most * answered[places] / 2)]
    if not safe.size:
        enough = places[answered[places] >= min(n, _FEW)]
        first = enough[0] if enough.size else places[-1]
        return (
            f"no number of rows would do: {errors[first]} of the {answered[first]} rows that the edge is "
            f"surest of, with a score >= {grid[first]:.6g}, are unlike central"
        )
    place = safe[-1]
    seen, share = int(errors[place]), answered[place] / n
    what = f"{seen} of the {answered[place]} rows with a score >= {grid[place]:.6g} are unlike central"
    of_all = rows_needed(seen, n, alpha=alpha, delta=delta)
    of_answered = rows_needed(seen, int(answered[place]), alpha=most, delta=delta)
    if of_all is None or of_answered is None:
        return f"not even {MOST_ROWS:,} rows would do at the rate seen: {what}"
    more = max(1, of_all - n, math.ceil(of_answered / share) - n)
    rows = "row" if more == 1 else "rows"
    return f"{more} more {rows} would do at the rate seen: {what}"


def outlook(scores: Array, wrong: Array, found: Calibration) -> str:
    """Return in a sentence how many rows more would let the edge answer much more; empty: no telling."""
    n, grid = found.n, np.asarray(THRESHOLDS)
    accepted = scores[:, np.newaxis] >= grid
    errors, answered = _errors(accepted, wrong), np.count_nonzero(accepted, axis=0)
    most = max(MOST_WRONG, found.alpha)
    likely = (errors <= _LIKELY * found.alpha * n) & (errors <= _LIKELY * most * answered)
    places = np.flatnonzero(likely & (answered >= (found.coverage + _MUCH) * n))
    if not places.size:
        return ""
    needed = rows_needed(int(errors[places[-1]]), n, alpha=found.alpha, delta=found.delta) or 0
    if not n < needed <= _FAR * n:
        return ""
    return f"{needed - n} more rows like these would let the edge answer {answered[places[-1]] / n:.1%}"


def is_useful(errors: int, answered: int, alpha: float, delta: float) -> bool:
    """Whether the edge is right in most of what it answers; nothing answered is nothing wrong."""
    return not answered or upper_bound(errors, answered, delta) <= max(MOST_WRONG, alpha)


def _check(grid: Array, scores: Array, wrong: Array, *, levels: tuple[float, float]) -> None:
    if grid.size == 0 or not np.all(np.diff(grid) < 0):
        raise ValueError("thresholds must descend, and there must be at least one")
    if not all(0 < level < 1 for level in levels):
        raise ValueError("alpha and delta must lie between 0 and 1")
    if scores.ndim != 1 or len(scores) != len(wrong) or not len(scores):
        raise ValueError("there must be one score for each row, and at least one row")


def _errors(accepted: Array, wrong: Array) -> Array:
    """Return the errors at each threshold, those of the worst part: ``int [thresholds]``."""
    parts = wrong.reshape(len(wrong), -1).astype(np.float64)
    counts = parts.T @ accepted.astype(np.float64)  # whole numbers, exact up to 2**53
    worst: Array = counts.max(axis=0).astype(np.int64)
    return worst
