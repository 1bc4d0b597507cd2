"""Models as exporters made them (tests/data/onnx), and samples that they can run on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from edge_models.static_qdq import quiet
from gateway.core.tensor import Array

FOLDER = Path(__file__).parent.parent / "data" / "onnx"

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}
_FREE = 6
"""What a free dimension that is not the batch is in a sample."""


def exported(name: str) -> Path:
    """Path of a model."""
    return FOLDER / f"{name}.onnx"


def sample_for(path: Path, rows: int = 200) -> dict[str, Array]:
    """Rows that the model can run on: numbers in 0 … 1, integers below 16, colours for texts."""
    chance = np.random.default_rng(3)
    with quiet(onnxruntime):
        inputs = onnxruntime.InferenceSession(path).get_inputs()
    sample: dict[str, Array] = {}
    for spec in inputs:
        shape = [rows, *(size if isinstance(size, int) else _FREE for size in spec.shape[1:])]
        if spec.type == "tensor(string)":
            sample[spec.name] = chance.choice(["red", "green", "blue"], shape)
        elif "int" in spec.type:
            sample[spec.name] = chance.integers(0, 16, shape).astype(_DTYPES[spec.type])
        else:
            sample[spec.name] = chance.random(shape).astype(_DTYPES[spec.type])
    return sample


def saved(model: Any, path: Path, **options: Any) -> Path:
    """Write a model made by hand."""
    onnx.save(model, path, **options)
    return path
