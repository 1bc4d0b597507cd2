"""A float model made into the int8 model that serves at the edge.

Static QDQ: the scales of activations are constants, measured once on calibration rows. Dynamic
quantization takes them from the batch at hand, so that an answer would depend on its batch-mates; no
cache, certificate or tenant could live with that.

Activations are unsigned, weights signed. On x86 without VNNI the kernel for that pair adds two products
in 16 bits and saturates (255 * 127 * 2 > 32767): the same file would answer otherwise than on a host
with VNNI. So weights keep 7 bits by default (``reduce_range``): 255 * 64 * 2 = 32640 always fits, and
every host sums the same integers. ``session.x64quantprecision=1``, which sessions for int8 models should
set as well, picks a kernel that cannot saturate where a model was quantized without this.

The scores of the last layer stay float: 8 bits would leave so few values of confidence that a threshold
could not divide them. For the same reason Softmax and its kin are left alone.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from gateway.core.tensor import Array

_LAYERS: Final = ("Conv", "Gemm", "MatMul", "Relu", "MaxPool", "AveragePool", "GlobalAveragePool", "Add")
"""Operators that are quantized; what is not here computes in float."""

_SCORERS: Final = ("Gemm", "MatMul", "Add")
"""Layers whose integer kernels can give a float answer; a convolution without its pair would run in float."""

_BATCH: Final = 256


def quantize_static_qdq(
    model: Path, out: Path, calibration: Array, *, input_name: str = "", reduce_range: bool = True
) -> None:
    """Quantize ``model`` to int8 and write it to ``out``, which is replaced whole or not touched.

    Args:
        model: a float ONNX file with one input whose first dimension is the batch.
        out: the file to write.
        calibration: ``[n, ...]`` rows as the model takes them. Take them from the training data: rows on
            which a certificate is measured must not have shaped the model.
        input_name: the input to feed; empty means the only one.
        reduce_range: 7-bit weights, with which no x86 kernel saturates.

    Raises:
        ValueError: the extra ``models`` is not installed, there are no rows, or the model has no such
            input or cannot be quantized.
    """
    onnx, quantization, preprocess = _libraries()
    if len(calibration) == 0:
        raise ValueError("no calibration rows: the ranges of activations cannot be measured")
    with tempfile.TemporaryDirectory() as folder, _translated(model):
        prepared, draft = Path(folder) / "prepared.onnx", Path(folder) / "quantized.onnx"
        preprocess(model, prepared)
        quantization.quantize_static(
            prepared,
            draft,
            _Rows(_input(onnx.load(prepared), input_name), calibration),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=list(_LAYERS),
            reduce_range=reduce_range,
        )
        quantized = onnx.load(draft)
    _keep_scores_float(quantized.graph)
    onnx.checker.check_model(quantized)
    finished = out.with_name(out.name + ".draft")
    onnx.save(quantized, finished)
    finished.replace(out)


class _Rows:
    """Feeds calibration rows in batches, as ``CalibrationDataReader`` is asked to."""

    def __init__(self, input_name: str, rows: Array) -> None:
        self._feeds: Iterator[dict[str, Array]] = iter(
            {input_name: np.ascontiguousarray(rows[start : start + _BATCH])}
            for start in range(0, len(rows), _BATCH)
        )

    def get_next(self) -> dict[str, Array] | None:
        """Return the next feed, None after the last."""
        return next(self._feeds, None)


def _input(model: Any, name: str) -> str:
    names = [value.name for value in model.graph.input]
    if name in names:
        return name
    if not name and len(names) == 1:
        return str(names[0])
    raise ValueError(f"the model takes {', '.join(names)}: name the one input that the rows are for")


def _keep_scores_float(graph: Any) -> None:
    """Cut each Quantize-Dequantize pair between a layer that makes scores and an output or a float node."""
    makers = {output: node for node in graph.node for output in node.output}
    users = Counter(name for node in graph.node for name in node.input)
    users.update(value.name for value in graph.output)
    outputs = {value.name for value in graph.output}

    for node in list(graph.node):
        if node.op_type != "DequantizeLinear" or users[node.output[0]] != 1:
            continue
        quantize = makers.get(node.input[0])
        maker = makers.get(quantize.input[0]) if quantize and quantize.op_type == "QuantizeLinear" else None
        if maker is None or maker.op_type not in _SCORERS or users[maker.output[0]] != 1:
            continue
        (end,) = node.output
        user = next((other for other in graph.node if end in other.input), None)
        if end in outputs or (user is not None and user.op_type not in {*_LAYERS, "QuantizeLinear"}):
            maker.output[0] = end
            graph.node.remove(node)
            graph.node.remove(quantize)


def _libraries() -> tuple[Any, Any, Any]:
    try:
        import onnx  # noqa: PLC0415 - a serving process has no onnx, and needs none
        from onnxruntime import quantization  # noqa: PLC0415 - imports onnx
        from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415 - needs sympy
    except ImportError as error:
        raise ValueError(
            "quantizing needs onnx, onnxruntime and sympy: install the extras `models` and `cpu`,"
            " edgeway[models,cpu]"
        ) from error
    return onnx, quantization, quant_pre_process


@contextmanager
def _translated(model: Path) -> Iterator[None]:
    """Turn whatever the libraries raise over a model into one ValueError that names the file."""
    try:
        yield
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"cannot quantize {model}: {error}") from error
