"""Ten thousand scans of handwritten digits, and the pair of models that the demo serves."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import numpy as np

from gateway.core.tensor import Array

FOLDER: Final = Path(__file__).parent
MODEL: Final = "digits"
VERSION: Final = "1"
INPUT: Final = "image"
OUTPUT: Final = "probabilities"

EDGE_REPOSITORY: Final = FOLDER / "edge"
CENTRAL_REPOSITORY: Final = FOLDER / "central"
"""Model repositories: ``<model>/<version>/model.onnx``."""

SPLITS: Final[dict[str, slice]] = {
    "train": slice(0, 6000),
    "calibration": slice(6000, 8000),
    "test": slice(8000, 10000),
}
"""Positions in the source, which is ordered by the SHA-256 of each image: a split by hash."""

SplitName = Literal["calibration", "test"]


def load_split(name: SplitName) -> tuple[Array, Array]:
    """Return ``images uint8 [n, 28, 28]`` and ``labels uint8 [n]``.

    ``calibration`` is for certificates, ``test`` for what is told about the models; the rows that the
    models were trained on are not part of the project.
    """
    with np.load(FOLDER / f"{name}.npz") as split:
        return split["images"], split["labels"]


def as_input(images: Array) -> Array:
    """Return the models' input, ``float32 [n, 784]`` in 0 … 1, of ``uint8 [n, 28, 28]``."""
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)


def model_path(repository: Path) -> Path:
    """Return where ``repository`` keeps the model."""
    return repository / MODEL / VERSION / "model.onnx"
