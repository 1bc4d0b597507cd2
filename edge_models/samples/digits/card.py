"""Measure both digits models as they lie here and write the card of each.

taskset -c 1 python -m edge_models.samples.digits.card --date 2026-11-21
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnxruntime

from edge_models.certify import Calibration, certify
from edge_models.isa import instruction_set_class
from edge_models.samples.digits import (
    CENTRAL_REPOSITORY,
    EDGE_REPOSITORY,
    INPUT,
    MODEL,
    OUTPUT,
    as_input,
    load_split,
    model_path,
)
from edge_models.session import Session
from gateway.core.tensor import Array

_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class ModelMeasurement:
    """What was found out about one model; costs are medians in microseconds."""

    digest: str
    size_bytes: int
    calibration_accuracy: float
    test_accuracy: float
    batch_of_1_us: float
    batch_of_32_us: float


def probabilities(session: Session, rows: Array) -> Array:
    """Return ``[n, 10]`` for ``rows [n, 784]``."""
    return session.run({INPUT: rows}, [OUTPUT])[0]


def measure(path: Path) -> ModelMeasurement:
    """Measure one model on both splits, and its cost on the core that this process was given."""
    session = Session(path)
    accuracies = []
    for images, labels in (load_split("calibration"), load_split("test")):
        answers = probabilities(session, as_input(images)).argmax(axis=1)
        accuracies.append(float((answers == labels).mean()))
    return ModelMeasurement(
        digest=session.digest,
        size_bytes=path.stat().st_size,
        calibration_accuracy=accuracies[0],
        test_accuracy=accuracies[1],
        batch_of_1_us=cost_us(session, 1),
        batch_of_32_us=cost_us(session, 32),
    )


def cost_us(session: Session, batch: int) -> float:
    """Return the median microseconds per image in batches of ``batch``, over the test split three times."""
    rows = as_input(load_split("test")[0])
    feeds = [rows[start : start + batch] for start in range(0, len(rows) - batch + 1, batch)]
    times = []
    for feed in feeds * _ROUNDS:
        start = time.perf_counter()
        probabilities(session, feed)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6 / batch


def calibrate() -> Calibration:
    """Certify the pair on the calibration split, with the usual alpha and delta."""
    rows = as_input(load_split("calibration")[0])
    edge, central = (
        probabilities(Session(model_path(repository)), rows)
        for repository in (EDGE_REPOSITORY, CENTRAL_REPOSITORY)
    )
    return certify(edge, central, score="max_probability")


_CARD: Final = """# Model card: {model}, {tier}

{what}

| | |
|---|---|
| digest | `{m.digest}` |
| file | `{version}/model.onnx`, {m.size_bytes} bytes |
| input | `image` FP32 [-1, 784], pixels 0 … 1, row by row, white ink on black |
| output | `probabilities` FP32 [-1, 10], Softmax inside |
| accuracy on the test split | {m.test_accuracy:.2%} of 2,000 |
| accuracy on the calibration split | {m.calibration_accuracy:.2%} of 2,000 |
| cost, batch of 1 | {m.batch_of_1_us:.1f} µs per image |
| cost, batch of 32 | {m.batch_of_32_us:.1f} µs per image |

Costs: {date}, `taskset -c 1 python -m edge_models.samples.digits.card --date {date}`, ONNX Runtime
{onnxruntime}, one thread, class of kernels {kernels}; medians of {rounds} passes over the test split,
the call from Python included. Central costs {ratio:.1f} times as much as edge in batches of 1, and
{ratio_32:.1f} times in batches of 32.

Data: 10,000 handwritten digits of MNIST (CC BY-SA 3.0, see `LICENCE.md` of this sample), split by the
hash of the image: 6,000 train, 2,000 calibration, 2,000 test. Trained on the train split alone, with small
random turns, shifts, scalings and slants; `train.py` of this sample makes the file anew.

{limits}
"""

_WHAT: Final = {
    "edge": """A dense network with one hidden layer of 24, quantized to int8: static QDQ, unsigned
activations, signed 7-bit weights, ranges measured on the train split, scores in float. An image's answer is
the same bits alone and in any batch. It is meant to be wrong now and then: it answers what it is sure of.""",
    "central": """A network of three convolutions and two dense layers in fp32: the strong model to which the
edge model defers, and against which it is certified.""",
}

_LIMITS: Final = {
    "edge": """Certified against the central model on the calibration split, at risk 2 % and confidence 95 %
(`max_probability`, n = {c.n}): threshold {c.threshold:.4f}, k = {c.k}, bound {c.upper_bound:.2%}, coverage
{c.coverage:.1%}. That is what this host found; a host makes its own certificate. The bound holds for
requests that look like the sample, and for nothing else: the model knows single, centred, 28 by 28 digits,
and may be sure of itself on a picture of anything else.""",
    "central": """The model knows single, centred, 28 by 28 digits, and answers with one of them whatever it
is shown.""",
}


def write_card(tier: str, measured: dict[str, ModelMeasurement], calibration: Calibration, date: str) -> Path:
    """Write the card of ``tier`` next to its version folder and return its path."""
    edge, central = measured["edge"], measured["central"]
    repository = EDGE_REPOSITORY if tier == "edge" else CENTRAL_REPOSITORY
    path = model_path(repository)
    card = path.parent.parent / "card.md"
    card.write_text(
        _CARD.format(
            model=MODEL,
            tier=tier,
            what=_WHAT[tier],
            limits=_LIMITS[tier].format(c=calibration),
            m=measured[tier],
            version=path.parent.name,
            date=date,
            rounds=_ROUNDS,
            onnxruntime=onnxruntime.__version__,
            kernels=instruction_set_class(),
            ratio=central.batch_of_1_us / edge.batch_of_1_us,
            ratio_32=central.batch_of_32_us / edge.batch_of_32_us,
        ),
        encoding="utf-8",
    )
    return card


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--date", required=True, help="the day of the measurement, YYYY-MM-DD")
    date = parser.parse_args().date
    if len(os.sched_getaffinity(0)) != 1:
        parser.error("costs are of one core: start this with taskset -c N")
    measured = {
        "edge": measure(model_path(EDGE_REPOSITORY)),
        "central": measure(model_path(CENTRAL_REPOSITORY)),
    }
    calibration = calibrate()
    for tier in measured:
        print(write_card(tier, measured, calibration, date))


if __name__ == "__main__":
    main()
