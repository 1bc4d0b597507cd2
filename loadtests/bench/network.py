"""A network of 784-256-128-10 as ONNX, with weights from a fixed seed: every server runs this file."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge_models.samples import digits
from loadtests.bench.needs import MissingError

WIDTHS: Final = (784, 256, 128, 10)
SEED: Final = 7


def write_network(path: Path) -> Path:
    """Write image [batch, 784] → probabilities [batch, 10]; return ``path``.

    Raises:
        MissingError: the package `onnx` is not here.
    """
    try:
        from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415 - only this case needs it
    except ImportError as error:
        raise MissingError("onnx is not installed: the extra `bench` brings it") from error
    chance = np.random.default_rng(SEED)
    nodes: list[Any] = []
    weights: list[Any] = []
    name = digits.INPUT
    for layer, size in enumerate(pairwise(WIDTHS)):
        values = chance.standard_normal(size).astype(np.float32) * np.float32(0.05)
        weights.append(numpy_helper.from_array(values, f"weights{layer}"))
        nodes.append(helper.make_node("MatMul", [name, f"weights{layer}"], [f"sum{layer}"]))
        name = f"sum{layer}"
        if layer < len(WIDTHS) - 2:
            nodes.append(helper.make_node("Relu", [name], [f"cut{layer}"]))
            name = f"cut{layer}"
    nodes.append(helper.make_node("Softmax", [name], [digits.OUTPUT], axis=-1))
    image = helper.make_tensor_value_info(digits.INPUT, TensorProto.FLOAT, ["batch", WIDTHS[0]])
    answer = helper.make_tensor_value_info(digits.OUTPUT, TensorProto.FLOAT, ["batch", WIDTHS[-1]])
    graph = helper.make_graph(nodes, "network", [image], [answer], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path
