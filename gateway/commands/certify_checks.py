"""Checks before a certificate is made: what would make it untrue, or worth less than it seems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from edge_models.decision import Decision
from edge_models.session import ModelSession
from edge_models.tasks.probabilities import is_finite
from gateway.commands.certify_sample import Sample
from gateway.core.tensor import Array

ALONE: Final = 16
"""Rows that are run once more, each by itself."""

_NEAR: Final = {2: 1e-2, 4: 1e-3, 8: 1e-3}
"""Bytes of a number → how far it may be off, as a share of the largest: rounding alone is far below that."""

_MANY: Final = 0.25
_COPIES: Final = 0.1

Outputs = Mapping[str, Array]
Pair = tuple[Outputs, Outputs]


def check_inputs(edge: ModelSession, central: ModelSession) -> None:
    """Check that one request fits both models.

    Raises:
        ValueError: it does not.
    """
    taken = [{spec.name: spec.datatype for spec in session.inputs} for session in (edge, central)]
    if taken[0] != taken[1]:
        listed = [", ".join(f"'{name}' {datatype}" for name, datatype in each.items()) for each in taken]
        raise ValueError(f"no request fits both models: the edge takes {listed[0]}, central {listed[1]}")


def rows_of_a_request(samples: Sequence[Sample]) -> int:
    """Return how many rows a request has that both models take, where they do not join requests.

    Raises:
        ValueError: there is no such number.
    """
    fixed = {sample.fixed for sample in samples if sample.fixed}
    if len(fixed) > 1:
        listed = " and ".join(str(sample.fixed) for sample in samples)
        raise ValueError(f"no request fits both models: they take {listed} rows at a time")
    return fixed.pop() if fixed else 1


def check_run(decision: Decision, outputs: Pair, rows: int | None) -> None:
    """Check that a run of ``rows`` rows (None: of one request) has the kind of outputs that was decided for.

    Raises:
        ValueError: it is not.
    """
    if decision.score_output:
        _check_rows("the edge model", decision.score_output, outputs[0][decision.score_output], rows)
    for rule in decision.outputs:
        for which, given in zip(("the edge model", "central"), outputs, strict=True):
            output = given[rule.name]
            _check_rows(which, rule.name, output, rows)
            if getattr(rule, "values", "") != "probabilities":
                continue
            sound = output[is_finite(output)] if output.ndim else output
            if len(sound) and (problem := rule.problem(sound)):
                raise ValueError(
                    f"output '{rule.name}' of {which}, {rule}: it {problem} (--values says which)"
                )


def _check_rows(which: str, name: str, output: Array, rows: int | None) -> None:
    if rows is not None and len(output) != rows:
        raise ValueError(
            f"{which} gives {len(output)} rows of '{name}' for {rows} rows of the sample: "
            "which belongs to which is not known"
        )


def check_alone(
    decision: Decision, session: ModelSession, feed: Mapping[str, Array], outputs: Outputs
) -> None:
    """Check that the edge gives a row the same answer alone and among others: it is served both ways.

    Sums are rounded differently in runs of another size, and rounding may take a quantized number to the next
    step, so a few rows may differ visibly.

    Raises:
        ValueError: many rows differ, as with dynamic quantization.
    """
    rows = min(ALONE, len(next(iter(feed.values()))))
    names = [name for name in decision.names() if outputs[name].dtype.kind == "f"]
    alone = [
        session.run({name: array[i : i + 1] for name, array in feed.items()}, names) for i in range(rows)
    ]
    for place, name in enumerate(names):
        together = outputs[name]
        most = np.abs(together[np.isfinite(together)]).max(initial=0.0)
        apart = [_distance(run[place], together[i : i + 1]) for i, run in enumerate(alone)]
        near = _NEAR[together.dtype.itemsize] * most
        if sum(each > near for each in apart) > _MANY * rows:
            raise ValueError(
                f"the edge model's '{name}' depends on the rows that are run beside a row, by up to "
                f"{max(apart):.3g}: no certificate could hold. Dynamic quantization does that; "
                "`edgeway model quantize` makes static models"
            )


def notes(arrays: Mapping[str, Array], rows: int, *, is_constant: bool) -> tuple[str, ...]:
    """Return what is no error but makes the proof worth less than it seems."""
    found = []
    copies = _copies(arrays, rows)
    if copies > _COPIES * rows:
        found.append(
            f"{copies} of {rows} rows are copies of others: rows that were not drawn one by one from what "
            "clients send prove less than their number says"
        )
    if is_constant:
        found.append(
            f"central gives one and the same answer to all {rows} rows: the sample says nothing about others"
        )
    return tuple(found)


def is_one_answer(decision: Decision, first: Outputs, outputs: Outputs) -> bool:
    """Whether every row of ``outputs`` is the same answer as the first row of ``first``."""
    rows = max(len(outputs[name]) for name in decision.names())
    same = {name: np.repeat(first[name][:1], rows, axis=0) for name in decision.names()}
    return not decision.differs(same, outputs).any()


def _copies(arrays: Mapping[str, Array], rows: int) -> int:
    whole = [array for array in arrays.values() if array.ndim and len(array) == rows]
    seen = {hash(tuple(array[i].tobytes() for array in whole)) for i in range(rows)}
    return rows - len(seen)


def _distance(one: Array, other: Array) -> float:
    if one.shape != other.shape:
        return np.inf
    with np.errstate(invalid="ignore"):  # infinity less infinity
        apart = np.abs(one - other)
    return float(apart[np.isfinite(apart)].max(initial=0.0))
