"""Train both digits models and write their ONNX files into the model repositories beside this file.

torch is needed here and nowhere else, so it belongs in an environment of its own:

    python -m venv /tmp/train && /tmp/train/bin/pip install -e '.[cpu,models]' torch==2.13.0
    /tmp/train/bin/python -m edge_models.samples.digits.train --data PATH/mnist10k.npz
    python -m edge_models.samples.digits.card

It takes about five minutes on one core. Every seed is fixed and torch runs in one thread, so the same
torch on the same kind of processor writes the same bytes; elsewhere the last digits of the weights
differ, and with them the digests. The epochs, widths and strengths of augmentation were chosen on the
last 1,000 training rows; neither the calibration split nor the test split is read.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edge_models.quantize import quantize_static_qdq
from edge_models.samples.digits import CENTRAL_REPOSITORY, EDGE_REPOSITORY, SPLITS, as_input, model_path
from edge_models.samples.digits.graph import Graph
from edge_models.samples.digits.splits import read_source
from gateway.core.tensor import Array

_SEED: Final = 20261121
_BATCH: Final = 128


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained. ``distortion`` 1 turns by 15 degrees and shifts by 2 pixels at most."""

    epochs: int
    learning_rate: float
    distortion: float


CENTRAL_RECIPE: Final = Recipe(epochs=50, learning_rate=4e-3, distortion=1.0)
EDGE_RECIPE: Final = Recipe(epochs=80, learning_rate=5e-3, distortion=0.35)


def central_network() -> Any:
    """Three convolutions and two dense layers: 201 thousand weights, 4.2 million products per image."""
    return nn.Sequential(
        *_convolution(1, 24, 5),
        nn.MaxPool2d(2),
        *_convolution(24, 48, 3),
        *_convolution(48, 96, 3),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.4),
        nn.Linear(1536, 96),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(96, 10),
    )


def edge_network() -> Any:
    """One hidden layer: 19 thousand weights."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 24), nn.ReLU(), nn.Linear(24, 10))


def train(network: Any, images: Any, labels: Any, recipe: Recipe) -> None:
    """Train in place on ``images [n, 1, 28, 28]``, distorted anew in every epoch."""
    chance = torch.Generator().manual_seed(_SEED)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=1e-4)
    steps = len(labels) // _BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.epochs * steps
    )
    network.train()
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(labels), generator=chance)
        for step in range(steps):
            rows = order[step * _BATCH : (step + 1) * _BATCH]
            optimizer.zero_grad()
            scores = network(distort(images[rows], recipe.distortion, chance))
            loss = functional.cross_entropy(scores, labels[rows])
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1} of {recipe.epochs}", end="\r", flush=True)
    print()
    network.eval()


def distort(images: Any, strength: float, chance: Any) -> Any:
    """Turn, scale, slant and shift each image a little, each in its own way."""

    def uniform(limit: float) -> Any:
        return (torch.rand(len(images), generator=chance) * 2 - 1) * limit * strength

    turn, scale, slant = uniform(math.radians(15)), 1 + uniform(0.12), uniform(0.15)
    cosine, sine = torch.cos(turn) * scale, torch.sin(turn) * scale
    first = torch.stack([cosine, slant - sine, uniform(2 / 14)], dim=1)
    second = torch.stack([sine, cosine, uniform(2 / 14)], dim=1)
    grid = functional.affine_grid(torch.stack([first, second], dim=1), images.shape, align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def export(network: Any, path: Path, *, images: bool) -> None:
    """Write ``network`` as ONNX, each batch normalisation folded into the convolution before it."""
    graph = Graph().as_image() if images else Graph()
    layers = list(network)
    for layer, next_layer in zip(layers, [*layers[1:], None], strict=True):
        match layer:
            case nn.Conv2d():
                graph.convolution(*_folded(layer, next_layer))
            case nn.Linear():
                graph.linear(_numpy(layer.weight), _numpy(layer.bias))
            case nn.ReLU():
                graph.relu()
            case nn.MaxPool2d():
                graph.max_pool()
            case nn.Flatten() if images:
                graph.flatten()
            case _:  # folded, or of no effect after training
                pass
    graph.save(path)


def main() -> None:
    """Train, export and quantize."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True, help="mnist10k.npz")
    source, source_labels = read_source(parser.parse_args().data)
    rows = as_input(source[SPLITS["train"]])
    labels = torch.from_numpy(source_labels[SPLITS["train"]].astype(np.int64))
    images = torch.from_numpy(rows.reshape(-1, 1, 28, 28))

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)

    torch.manual_seed(_SEED)
    central = central_network()
    train(central, images, labels, CENTRAL_RECIPE)
    export(central, model_path(CENTRAL_REPOSITORY), images=True)

    torch.manual_seed(_SEED)
    edge = edge_network()
    train(edge, images, labels, EDGE_RECIPE)
    with tempfile.TemporaryDirectory() as folder:
        float_model = Path(folder) / "edge.onnx"
        export(edge, float_model, images=False)
        model_path(EDGE_REPOSITORY).parent.mkdir(parents=True, exist_ok=True)
        quantize_static_qdq(float_model, model_path(EDGE_REPOSITORY), rows)


def _convolution(inputs: int, outputs: int, size: int) -> tuple[Any, ...]:
    return nn.Conv2d(inputs, outputs, size, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()


def _folded(convolution: Any, norm: Any) -> tuple[Array, Array]:
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    weight = convolution.weight * scale[:, None, None, None]
    return _numpy(weight), _numpy(norm.bias - norm.running_mean * scale)


def _numpy(tensor: Any) -> Array:
    array: Array = tensor.detach().numpy()
    return array


if __name__ == "__main__":
    main()
