"""Certifying a pair of models: both run over one sample, on the machine and with the kernels that serve."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime

from edge_models.certify import Certificate, certify, sample_digest
from edge_models.isa import instruction_set_class
from edge_models.licence import score_output
from edge_models.session import Session
from gateway.core.catalog import ModelSpec
from gateway.core.tensor import Array, Tensor

ROWS: Final = 64
"""Rows that are run at once."""


def certify_models(
    name: str,
    edge: Path,
    central: Path,
    sample: Array,
    *,
    score: str = "max_probability",
    alpha: float = 0.02,
    delta: float = 0.05,
    advance: Callable[[int], None] = lambda _rows: None,
) -> Certificate:
    """Run both models over ``sample`` [n, ...] on this machine and certify the pair.

    ``advance`` hears how many rows were run, of ``2 * len(sample)``.

    Raises:
        ModelError: when a model cannot be loaded or scored.
        GatewayError: when it cannot run on the sample.
        ValueError: when the sample cannot prove anything.
    """
    sessions = Session(edge), Session(central)
    edge_rows, central_rows = (
        np.concatenate(list(_run(name, session, sample, advance))) for session in sessions
    )
    return certify(edge_rows, central_rows, score=score, alpha=alpha, delta=delta).bind(
        model=name,
        edge_digest=sessions[0].digest,
        central_digest=sessions[1].digest,
        sample_digest=sample_digest(sample),
        instruction_set=instruction_set_class(),
        onnxruntime=onnxruntime.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _run(name: str, session: Session, sample: Array, advance: Callable[[int], None]) -> Iterator[Array]:
    spec = ModelSpec(name, ("1",), "", session.inputs, session.outputs)
    output = score_output(spec)
    _check_sample(session, sample)
    for start in range(0, len(sample), ROWS):
        rows = sample[start : start + ROWS]
        yield session.run({session.inputs[0].name: rows}, [output])[0]
        advance(len(rows))


def _check_sample(session: Session, sample: Array) -> None:
    wanted = session.inputs[0]
    got = Tensor.from_numpy(wanted.name, sample[:1])
    fits = len(got.shape) == len(wanted.shape) and all(
        want in {-1, size} for want, size in zip(wanted.shape[1:], got.shape[1:], strict=True)
    )
    if got.datatype != wanted.datatype or not fits:
        raise ValueError(
            f"the sample is {got.datatype} {list(sample.shape)}, but the model's input '{wanted.name}' is "
            f"{wanted.datatype} {list(wanted.shape)}"
        )
