"""The models that Triton's Python examples ask, as folders: `config.pbtxt` and a file for what runs them.

Edgeway runs ONNX files; the Triton that is installed here has no backend but Python's, so there each model is
a few lines of numpy. Both have the same configuration, but for the line that names what runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Runner = Literal["onnx", "python"]

_START: Final = 'name: "START" control [{ kind: CONTROL_SEQUENCE_START int32_false_true: [0, 1] }]'
_END: Final = 'name: "END" control [{ kind: CONTROL_SEQUENCE_END int32_false_true: [0, 1] }]'
_READY: Final = 'name: "READY" control [{ kind: CONTROL_SEQUENCE_READY int32_false_true: [0, 1] }]'
_SEQUENCE: Final = f"sequence_batching {{ control_input [{{ {_START} }}, {{ {_READY} }}] }}"
_OLDEST: Final = """\
sequence_batching {{
  max_sequence_idle_microseconds: 10000000
  oldest {{ max_candidate_sequences: 1024 max_queue_delay_microseconds: 10000 }}
  control_input [
    {{ {start} }}, {{ {end} }}, {{ {ready} }},
    {{ name: "CORRID" control [{{ kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_{datatype} }}] }}
  ]
{state}}}"""
_STATE: Final = """\
  state [{
    input_name: "INPUT_STATE" output_name: "OUTPUT_STATE" data_type: TYPE_INT32 dims: [1]
    initial_state: { name: "zero" data_type: TYPE_INT32 dims: [1] zero_data: true }
  }]
"""
_DECOUPLED: Final = "model_transaction_policy { decoupled: true }"
_CONFIG: Final = """\
name: "{name}"
{runner}
max_batch_size: {batch}
input [{inputs}]
output [{outputs}]
instance_group [{{ count: 1 kind: KIND_CPU }}]
{more}
"""
_RUNNERS: Final = {"onnx": 'platform: "onnxruntime_onnx"', "python": 'backend: "python"'}
_PYTHON: Final = Path(__file__).with_name("triton_python_models.txt")


@dataclass(frozen=True, slots=True)
class ExampleModel:
    """A model: how its configuration reads, and its ONNX graph; None where only Python can do it."""

    name: str
    inputs: str
    outputs: str
    graph: Callable[[], onnx.ModelProto] | None
    more: str = ""
    batch: int = 8


def write_repository(folder: Path, runner: Runner, count: int) -> None:
    """Write the first ``count`` models for ``runner``; the examples count them."""
    for entry in ENTRIES[:count]:
        version = folder / entry.name / "1"
        version.mkdir(parents=True, exist_ok=True)
        used: Runner = runner if entry.graph is not None else "python"
        config = _CONFIG.format(
            name=entry.name,
            runner=_RUNNERS[used],
            batch=entry.batch,
            inputs=entry.inputs,
            outputs=entry.outputs,
            more=entry.more,
        )
        (folder / entry.name / "config.pbtxt").write_text(config)
        if used == "python" or entry.graph is None:
            (version / "model.py").write_text(_PYTHON.read_text())
        else:
            onnx.save(entry.graph(), version / "model.onnx")


def _tensors(datatype: str, names: Sequence[str], dims: int) -> str:
    return ", ".join(f'{{ name: "{name}" data_type: TYPE_{datatype} dims: [{dims}] }}' for name in names)


def _pair(datatype: str) -> tuple[str, str]:
    return tuple(_tensors(datatype, [f"{side}0", f"{side}1"], 16) for side in ("INPUT", "OUTPUT"))  # type: ignore[return-value]


def _oldest(datatype: str, state: str = "") -> str:
    return _OLDEST.format(start=_START, end=_END, ready=_READY, datatype=datatype, state=state)


def _sums(kind: int, through: int | None = None) -> onnx.ModelProto:
    """Sum and difference of two inputs; ``through``: the type to compute with, if not their own."""
    names = {"INPUT0": kind, "INPUT1": kind}
    if through is None:
        nodes = [_node("Add", "INPUT0", "INPUT1", "OUTPUT0"), _node("Sub", "INPUT0", "INPUT1", "OUTPUT1")]
        return _model(nodes, names, {"OUTPUT0": kind, "OUTPUT1": kind}, 16)
    nodes = [_cast("INPUT0", "a", through), _cast("INPUT1", "b", through)]
    nodes += [_node("Add", "a", "b", "sum"), _node("Sub", "a", "b", "difference")]
    nodes += [_cast("sum", "OUTPUT0", kind), _cast("difference", "OUTPUT1", kind)]
    return _model(nodes, names, {"OUTPUT0": kind, "OUTPUT1": kind}, 16)


def _identity() -> onnx.ModelProto:
    inputs, outputs = {"INPUT0": TensorProto.STRING}, {"OUTPUT0": TensorProto.STRING}
    return _model([_node("Identity", "INPUT0", "OUTPUT0")], inputs, outputs, "width")


def _sequence() -> onnx.ModelProto:
    nodes = [_node("Add", "INPUT", "START", "sum"), _node("Mul", "sum", "READY", "OUTPUT")]
    return _model(nodes, _ints("INPUT", "START", "READY"), _ints("OUTPUT"), 1)


def _dyna_sequence() -> onnx.ModelProto:
    nodes = [
        _cast("CORRID", "number", TensorProto.INT32),
        _node("Mul", "number", "END", "last"),
        _node("Add", "INPUT", "START", "first"),
        _node("Add", "first", "last", "sum"),
        _node("Mul", "sum", "READY", "OUTPUT"),
    ]
    inputs = _ints("INPUT", "START", "END", "READY") | {"CORRID": TensorProto.UINT64}
    return _model(nodes, inputs, _ints("OUTPUT"), 1)


def _string_sequence() -> onnx.ModelProto:
    nodes = [
        _cast("CORRID", "number", TensorProto.INT32),
        _node("Mul", "number", "END", "last"),
        _node("Sub", "one", "START", "going"),
        _node("Mul", "INPUT_STATE", "going", "before"),
        _node("Add", "INPUT", "before", "sum"),
        _node("Identity", "sum", "OUTPUT_STATE"),
        _node("Add", "sum", "last", "whole"),
        _node("Mul", "whole", "READY", "OUTPUT"),
    ]
    inputs = _ints("INPUT", "START", "END", "READY", "INPUT_STATE") | {"CORRID": TensorProto.STRING}
    return _model(nodes, inputs, _ints("OUTPUT", "OUTPUT_STATE"), 1)


def _ints(*names: str) -> dict[str, int]:
    return dict.fromkeys(names, TensorProto.INT32)


def _node(kind: str, *names: str) -> Any:
    return helper.make_node(kind, names[:-1], names[-1:])


def _cast(given: str, made: str, to: int) -> Any:
    return helper.make_node("Cast", [given], [made], to=to)


def _model(
    nodes: Sequence[Any], inputs: Mapping[str, int], outputs: Mapping[str, int], width: int | str
) -> onnx.ModelProto:
    given, made = (
        [helper.make_tensor_value_info(name, kind, ["batch", width]) for name, kind in side.items()]
        for side in (inputs, outputs)
    )
    one = numpy_helper.from_array(np.array([1], np.int32), "one")
    graph = helper.make_graph(nodes, "example", given, made, initializer=[one])
    opset = helper.make_opsetid("", 17)
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[opset], ir_version=9)
    return model


_ONE: Final = _tensors("INT32", ["INPUT"], 1), _tensors("INT32", ["OUTPUT"], 1)
_REPEAT: Final = ", ".join(
    _tensors(kind, [name], width)
    for name, kind, width in (("IN", "INT32", -1), ("DELAY", "UINT32", -1), ("WAIT", "UINT32", 1))
)
ENTRIES: Final = (
    ExampleModel("simple", *_pair("INT32"), lambda: _sums(TensorProto.INT32)),
    ExampleModel("simple_int8", *_pair("INT8"), lambda: _sums(TensorProto.INT8, TensorProto.INT32)),
    ExampleModel("simple_string", *_pair("STRING"), lambda: _sums(TensorProto.STRING, TensorProto.INT32)),
    ExampleModel(
        "simple_identity", _tensors("STRING", ["INPUT0"], -1), _tensors("STRING", ["OUTPUT0"], -1), _identity
    ),
    ExampleModel("simple_sequence", *_ONE, _sequence, _SEQUENCE),
    ExampleModel("simple_dyna_sequence", *_ONE, _dyna_sequence, _oldest("UINT64")),
    ExampleModel("simple_string_dyna_sequence", *_ONE, _string_sequence, _oldest("STRING", _STATE)),
    ExampleModel("repeat_int32", _REPEAT, _tensors("INT32", ["OUT"], 1), None, _DECOUPLED, 0),
)
"""The examples over HTTP expect seven models, those over gRPC eight."""
