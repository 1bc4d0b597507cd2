"""Cut the calibration and the test split out of the source and write them beside this file.

python -m edge_models.samples.digits.splits --data PATH/mnist10k.npz
"""

from __future__ import annotations

import argparse
import hashlib
from itertools import pairwise
from pathlib import Path

import numpy as np

from edge_models.samples.digits import FOLDER, SPLITS
from gateway.core.tensor import Array


def read_source(path: Path) -> tuple[Array, Array]:
    """Return all images and labels.

    Raises:
        ValueError: it is another source, or the images are not in strictly rising order of their
            SHA-256, so that a split by position would be no split by hash, or an image would be in it twice.
    """
    with np.load(path) as source:
        images, labels = source["images"], source["labels"]
    if len(images) != SPLITS["test"].stop:
        raise ValueError(f"{path}: has {len(images)} images, not {SPLITS['test'].stop}")
    digests = [hashlib.sha256(image.tobytes()).digest() for image in images]
    if not all(one < next_one for one, next_one in pairwise(digests)):
        raise ValueError(f"{path}: the images are not ordered by hash, or not all different")
    return images, labels


def main() -> None:
    """Write ``calibration.npz`` and ``test.npz``."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True, help="mnist10k.npz")
    images, labels = read_source(parser.parse_args().data)
    for name in ("calibration", "test"):
        rows = SPLITS[name]
        target = FOLDER / f"{name}.npz"
        np.savez_compressed(target, images=images[rows], labels=labels[rows])
        print(f"{target}: {len(labels[rows])} images, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
