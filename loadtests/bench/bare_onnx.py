"""The yardstick of a model: ONNX Runtime in a loop, at the batch sizes that a server has run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime

from edge_models.samples import digits
from loadtests.bench.network import SEED, WIDTHS

WARM_RUNS: Final = 20


def seconds_per_run(model: Path, sizes: list[int], seconds: float) -> dict[int, float]:
    """Return the mean time of a run at each size, each measured for its part of ``seconds``."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    chance, times = np.random.default_rng(SEED), {}
    for size in sizes:
        feed = {digits.INPUT: chance.random((size, WIDTHS[0]), np.float32)}
        for _ in range(WARM_RUNS):
            session.run(None, feed)
        began, runs = time.perf_counter(), 0
        while time.perf_counter() - began < seconds / len(sizes):
            session.run(None, feed)
            runs += 1
        times[size] = (time.perf_counter() - began) / runs
    return times


def rows_per_second(batches: Mapping[int, int], times: Mapping[int, float]) -> float:
    """Return the rows per second of so many ``batches`` of each size, one after the other."""
    rows = sum(size * count for size, count in batches.items())
    return rows / sum(times[size] * count for size, count in batches.items())


if __name__ == "__main__":
    request = json.loads(sys.argv[2])
    print(json.dumps(seconds_per_run(Path(sys.argv[1]), request["sizes"], request["seconds"])))
