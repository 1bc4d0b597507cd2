"""Static QDQ with ONNX Runtime's tools: a float graph in, an integer graph out.

Activations are unsigned, weights signed. On x86 without VNNI the kernel for that pair adds two products
in 16 bits and saturates (255 * 127 * 2 > 32767): the same file would answer otherwise than on a host
with VNNI. So weights keep 7 bits by default (``reduce_range``): 255 * 64 * 2 = 32640 always fits, and
every host sums the same integers. ``session.x64quantprecision=1``, which sessions for int8 models should
set as well, picks a kernel that cannot saturate where a model was quantized without this.

The scores of the last layer stay float: 8 bits would leave so few values of confidence that a threshold
could not divide them. For the same reason Softmax and its kin are left alone. A Relu behind that layer is
the exception: ONNX Runtime drops it and lets the rounding to 8 bits clip in its place, so that stays.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from edge_models.exported_model import LAYERS, every_node, nesting
from edge_models.sample_feeds import Feeds
from edge_models.session import Session
from gateway.core.tensor import Array

FLOAT_MODEL: Final = "float.onnx"

_QUANTIZED: Final = ("Conv", "Gemm", "MatMul", "Relu", "MaxPool", "AveragePool", "GlobalAveragePool", "Add")
"""Operators that are quantized; what is not here computes in float."""

_SCORERS: Final = ("Gemm", "MatMul", "Add")
"""Layers whose integer kernels can give a float answer; a convolution without its pair would run in float."""

_DEEP: Final = 4
"""Graphs nested deeper get no symbolic shapes: ONNX Runtime may infer each twice for the one around it."""

_PREPARATIONS: Final[tuple[tuple[str, dict[str, bool]], ...]] = (
    ("", {}),
    ("symbolic shapes were skipped", {"skip_symbolic_shape": True}),
    (
        "symbolic shapes and graph optimizations were skipped",
        {"skip_symbolic_shape": True, "skip_optimization": True},
    ),
    (
        "shapes and graph optimizations were skipped",
        {"skip_symbolic_shape": True, "skip_optimization": True, "skip_onnx_shape": True},
    ),
)
"""How a model is prepared, best first, and how each is reported: exporters make graphs over which one or
the other step of ONNX Runtime gives up, and none of them is needed for right answers."""

_SOURCE: Final = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : |Status Message: "
    r"|/\S+:\d+ [^()]*::[^()]*\([^()]*\)(?: const)?(?: \[[^\]]*\])? "
)
"""What ONNX Runtime's messages have besides text: the code, and a place in its source."""

Progress = Callable[[str, int, int], None]
"""Hears the step, how many feeds of it are done, and of how many."""


class Toolkit(msgspec.Struct, frozen=True):
    """The libraries that quantizing needs, and a serving process does not have."""

    onnx: Any
    runtime: Any
    quantization: Any
    preprocess: Callable[..., None]


class StaticQdq:
    """Makes one model static QDQ.

    Args:
        toolkit: the libraries.
        folder: for the files between; the float model lies there as ``FLOAT_MODEL``, in one file.
        progress: gets each feed.
    """

    def __init__(self, toolkit: Toolkit, folder: Path, progress: Progress) -> None:
        self._toolkit = toolkit
        self._folder = folder
        self._progress = progress

    def __repr__(self) -> str:
        return f"<StaticQdq in {self._folder}>"

    def make(self, original: Any, feeds: Feeds, *, reduce_range: bool) -> tuple[Any, str]:
        """Return the int8 ``ModelProto`` of ``original``, and what had to be skipped to get it.

        Raises:
            ValueError: when ONNX Runtime cannot quantize it in any way, with its first complaint.
        """
        first: Exception | None = None
        deep = nesting(original.graph)
        for what, options in _PREPARATIONS[deep > _DEEP :]:
            try:
                proto = self._attempt(original, feeds, options, reduce_range=reduce_range)
            except Exception as error:  # noqa: BLE001 - ONNX Runtime's tools raise whatever they stumble over
                first = first or error
                continue
            if first:
                return proto, f"{what}, since ONNX Runtime failed with them ({first_line(first)})"
            return proto, f"{what}, since graphs lie {deep} deep in one another" if what else ""
        raise ValueError(f"ONNX Runtime cannot quantize it: {first_line(first)}") from first

    def _attempt(self, original: Any, feeds: Feeds, options: dict[str, bool], *, reduce_range: bool) -> Any:
        onnx, quantization = self._toolkit.onnx, self._toolkit.quantization
        prepared, draft = self._folder / "prepared.onnx", self._folder / "draft.onnx"
        # Where it gives up, symbolic shape inference leaves model and weights in the working directory.
        with chdir(self._folder):
            self._toolkit.preprocess(self._folder / FLOAT_MODEL, prepared, **options)
        float_proto = onnx.load(prepared)
        apart = _named(_seen_elsewhere(float_proto.graph))
        if apart:
            prepared.write_bytes(float_proto.SerializeToString())
        quantization.quantize_static(
            prepared,
            draft,
            _Calibration(feeds, self._progress),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=list(_QUANTIZED),
            nodes_to_exclude=apart,
            reduce_range=reduce_range,
        )
        proto = onnx.load(draft)
        _keep_scores_float(proto.graph, _clipped(float_proto.graph, proto.graph))
        _restore_signature(proto.graph, original.graph)
        draft.write_bytes(proto.SerializeToString())
        Session(draft)
        return proto


class _Calibration:
    """Hands feeds to ONNX Runtime, as its ``CalibrationDataReader`` is asked to."""

    def __init__(self, feeds: Feeds, progress: Progress) -> None:
        self._feeds = enumerate(feeds, 1)
        self._of = len(feeds)
        self._progress = progress

    def get_next(self) -> dict[str, Array] | None:
        """Return the next feed, None after the last."""
        done, feed = next(self._feeds, (0, None))
        if feed is None:
            return None
        self._progress("measuring ranges", done, self._of)
        return {name: _texts(array) for name, array in feed.items()}


def _texts(array: Array) -> Array:
    if array.dtype != object:
        return array
    texts = array.copy()
    texts.ravel()[:] = [item.decode() for item in array.ravel()]
    return texts


def _seen_elsewhere(graph: Any) -> Iterator[Any]:
    """Yield each Relu whose input or output is seen where ONNX Runtime does not look when it drops one.

    It takes an input that is an output of the graph for the Relu's alone, and clips it; a graph inside an If
    or a Loop gets what the Relu would have clipped, or looks for a value that is no more.
    """
    outputs = {value.name for value in graph.output}
    inside = Counter(name for node in every_node(graph) for name in node.input)
    inside.subtract(Counter(name for node in graph.node for name in node.input))
    for node in graph.node:
        if node.op_type == "Relu" and (
            node.input[0] in outputs or inside[node.input[0]] or inside[node.output[0]]
        ):
            yield node


def _named(nodes: Iterator[Any]) -> list[str]:
    """Give nodes names that no other has, by which they can be left out."""
    names = []
    for node in nodes:
        node.name = f"apart:{node.output[0]}"
        names.append(node.name)
    return names


def _clipped(prepared: Any, graph: Any) -> set[str]:
    """Return the values that a pair has to clip: the Relu that did is gone from ``graph``.

    ONNX Runtime drops it, for the range starts at 0 and the pair behind it clips as well. The layer before it
    makes the Relu's output then.
    """
    kept = {node.output[0] for node in graph.node if node.op_type == "Relu"}
    return {node.output[0] for node in prepared.node if node.op_type == "Relu"} - kept


def _keep_scores_float(graph: Any, clipped: set[str]) -> None:
    """Cut each Quantize-Dequantize pair between a layer that makes scores and an output or a float node.

    A pair whose value is one of ``clipped`` stays.
    """
    makers = {output: node for node in graph.node for output in node.output}
    # A graph inside an If or a Loop uses names of the one around it.
    users = Counter(name for node in every_node(graph) for name in node.input)
    users.update(value.name for value in graph.output)
    outputs = {value.name for value in graph.output}

    for node in list(graph.node):
        if node.op_type != "DequantizeLinear" or users[node.output[0]] != 1:
            continue
        quantize_node = makers.get(node.input[0])
        if quantize_node is None or quantize_node.op_type != "QuantizeLinear":
            continue
        maker = makers.get(quantize_node.input[0])
        if maker is None or maker.op_type not in _SCORERS or users[maker.output[0]] != 1:
            continue
        if not clipped.isdisjoint((quantize_node.input[0], node.output[0])):
            continue
        (end,) = node.output
        user = next((other for other in graph.node if end in other.input), None)
        if end in outputs or (user is not None and user.op_type not in {*_QUANTIZED, "QuantizeLinear"}):
            maker.output[0] = end
            graph.node.remove(node)
            graph.node.remove(quantize_node)


def _restore_signature(graph: Any, original: Any) -> None:
    """Declare inputs and outputs as the original does, and drop the shapes of what lies between.

    Those were for the quantizer; on a small model they weigh more than int8 saves.
    """
    declared = {value.name: value for value in (*original.input, *original.output)}
    for value in (*graph.input, *graph.output):
        if value.name in declared:
            value.CopyFrom(declared[value.name])
    del graph.value_info[:]


def integer_layers(graph: Any) -> int:
    """Count the layers whose weights are stored as integers."""
    stored = {tensor.name for tensor in graph.initializer}
    weights = {
        node.output[0]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in stored
    }
    return sum(not weights.isdisjoint(n.input[:2]) for n in graph.node if n.op_type in LAYERS)


def first_line(error: BaseException | None) -> str:
    """Return the first line of a library's error message, without the place in its source."""
    lines = (_SOURCE.sub("", line).strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)


def load_toolkit() -> Toolkit:
    """Import the libraries.

    Raises:
        ValueError: when one is not installed, with the extras that bring it.
    """
    try:
        import onnx  # noqa: PLC0415 - a serving process has no onnx, and needs none
        import onnx.inliner  # noqa: PLC0415
        import onnxruntime  # noqa: PLC0415
        from onnxruntime import quantization  # noqa: PLC0415 - imports onnx
        from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415 - needs sympy
    except ImportError as error:
        raise ValueError(
            "quantizing needs onnx, onnxruntime and sympy: install the extras `models` and `cpu` (or `gpu`)"
        ) from error
    return Toolkit(onnx, onnxruntime, quantization, quant_pre_process)


@contextmanager
def quiet(runtime: Any) -> Iterator[None]:
    """Keep the libraries from printing what they also raise, and tracebacks of what they get over."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    runtime.set_default_logger_severity(4)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        runtime.set_default_logger_severity(2)
