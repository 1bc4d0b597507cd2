"""The digits models as ONNX graphs, written node by node.

Writing them out keeps the files small and the same from run to run, and puts Softmax inside.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_models.samples.digits import INPUT, MODEL, OUTPUT
from gateway.core.tensor import Array

_OPSET: Final = 17
_IR_VERSION: Final = 9  # read by every ONNX Runtime since 1.15
_PIXELS: Final = 784


class Graph:
    """A chain of nodes from the image to the probabilities. Each method appends one layer."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._end = INPUT

    def as_image(self) -> Graph:
        """Reshape rows of pixels to ``[n, 1, 28, 28]``."""
        return self._append("Reshape", np.array([-1, 1, 28, 28], np.int64))

    def flatten(self) -> Graph:
        """Reshape to ``[n, features]``."""
        return self._append("Flatten")

    def convolution(self, weight: Array, bias: Array) -> Graph:
        """Convolve without padding; ``weight`` is ``[out, in, height, width]``."""
        return self._append("Conv", weight, bias, kernel_shape=list(weight.shape[2:]))

    def relu(self) -> Graph:
        """Keep what is positive."""
        return self._append("Relu")

    def max_pool(self) -> Graph:
        """Halve both sides."""
        return self._append("MaxPool", kernel_shape=[2, 2], strides=[2, 2])

    def linear(self, weight: Array, bias: Array) -> Graph:
        """Multiply by ``weight [out, in]`` and add ``bias``."""
        return self._append("Gemm", np.ascontiguousarray(weight.T), bias)

    def save(self, path: Path) -> None:
        """End in Softmax and write the model."""
        self._nodes.append(helper.make_node("Softmax", [self._end], [OUTPUT], name="softmax", axis=1))
        graph = helper.make_graph(
            self._nodes,
            MODEL,
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", _PIXELS])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", 10])],
            self._weights,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
            producer_name="edgeway",
        )
        onnx.checker.check_model(model, full_check=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, path)

    def _append(self, operator: str, *weights: Array, **attributes: Any) -> Graph:
        name = f"{operator.lower()}{len(self._nodes)}"
        names = [f"{name}.{index}" for index in range(len(weights))]
        self._weights += [
            numpy_helper.from_array(weight, weight_name)
            for weight, weight_name in zip(weights, names, strict=True)
        ]
        node = helper.make_node(operator, [self._end, *names], [f"{name}.out"], name=name, **attributes)
        self._nodes.append(node)
        self._end = f"{name}.out"
        return self
