"""A float model as an exporter wrote it, read and made ready to be quantized.

What exporters leave that ONNX Runtime's quantizer or the gateway cannot use is put right here, and reported:
weights in other files, local functions, an operator set imported twice, ZipMap (skl2onnx's maps from class
to probability, which no tensor protocol carries).
"""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Final

import msgspec

LAYERS: Final = ("Conv", "Gemm", "MatMul")
"""Operators whose constant weights are made int8: all that quantizing gains is theirs."""

_INTEGER: Final = frozenset(
    {
        *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul"),
        *("ConvInteger", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QGemm"),
        *("MatMulNBits",),
    }
)
_MOST_BYTES: Final = (1 << 31) - 1
"""The most that one protobuf message may have, and a gateway serves single files."""

_TOO_LARGE: Final = "{}: is more than 2 GiB with its weights, too large for the one file of an edge model"

_MOST_LABELS: Final = 10

_MOST_NODES: Final = 100_000
"""The most that local functions may come to. Ten that call the next one ten times come to 10 ** 10."""


class ExportedModel(msgspec.Struct, frozen=True):
    """A whole model in memory.

    Attributes:
        proto: the ``ModelProto``, with all its weights.
        size: bytes of it as one file.
        notes: what was put right, a sentence each.
    """

    proto: Any
    size: int
    notes: tuple[str, ...]


def read_exported_model(onnx: Any, path: Path) -> ExportedModel:
    """Read a float model.

    Args:
        onnx: the library.
        path: the file; weights that it keeps elsewhere are looked for beside it.

    Raises:
        ValueError: in one sentence: no ONNX model, weights missing, quantized already, too large.
        OSError: when it cannot be opened.
    """
    model, size = read_whole_model(onnx, path)
    try:
        return _put_right(onnx, model, path, size)
    except (UnicodeError, TypeError) as error:
        raise ValueError(_damaged(path)) from error


def read_whole_model(onnx: Any, path: Path) -> tuple[Any, int]:
    """Return the ``ModelProto`` of ``path`` with all its weights, as it is, and its bytes as one file.

    Raises:
        ValueError: in one sentence: no ONNX model, weights missing, too large.
        OSError: when it cannot be opened.
    """
    content = path.read_bytes()
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's errors share no base class with anything
        raise ValueError(f"{path}: is not an ONNX model, or only a part of one") from error
    if not model.ir_version or not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise ValueError(f"{path}: is not an ONNX model, or only a part of one")
    try:
        has_files = _take_weights(onnx, model, path)
    except (UnicodeError, TypeError) as error:
        raise ValueError(_damaged(path)) from error
    return model, _size_with_weights(model, path) if has_files else len(content)


def _damaged(path: Path) -> str:
    # protobuf gives names that are no text as bytes
    return f"{path}: is damaged: it has names that are no text"


def _put_right(onnx: Any, model: Any, path: Path, size: int) -> ExportedModel:
    if model.functions:
        model = _without_functions(onnx, model, path)
    found = sorted(_INTEGER & {node.op_type for node in every_node(model.graph)})
    if found:
        raise ValueError(
            f"{path}: is quantized already (it has {', '.join(found)}): give the float model it was made from"
        )
    import_once(model)
    return ExportedModel(model, size, tuple(_without_zip_maps(onnx, model)))


def _without_functions(onnx: Any, model: Any, path: Path) -> Any:
    """Return the model with the nodes of its local functions in place of their calls."""
    functions = {_key(function.domain, function.name, function): function for function in model.functions}
    calls = {
        key: [name for name in _called(function) if name in functions] for key, function in functions.items()
    }
    sizes: dict[tuple[str, ...], int] = {}
    try:
        for key in TopologicalSorter(calls).static_order():
            own = sum(1 for _ in every_node(functions[key]))
            sizes[key] = own + sum(sizes[name] for name in calls[key])
    except CycleError as error:
        circle = " calls ".join(f"'{key[1]}'" for key in reversed(error.args[1]))
        raise ValueError(
            f"{path}: its local functions call themselves, which ONNX forbids: {circle}"
        ) from error
    nodes = sum(sizes.get(name, 0) for name in _called(model.graph))
    if nodes > _MOST_NODES:
        raise ValueError(
            f"{path}: its local functions come to {nodes:,} operators; no more than {_MOST_NODES:,} are taken"
        )
    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:  # onnx's own errors share no base class
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path}: its local functions cannot be put in place of their calls: {reason}"
        ) from error


def _called(graph: Any) -> Iterator[tuple[str, ...]]:
    return (_key(node.domain, node.op_type, node) for node in every_node(graph))


def _key(domain: str, name: str, overloaded: Any) -> tuple[str, ...]:
    return ("" if domain == "ai.onnx" else domain, name, overloaded.overload)


def weighty_layers(onnx: Any, graph: Any) -> list[str]:
    """Return the type of the weights of each layer that has constant ones, such as FLOAT.

    Quantizing makes these smaller, where they are FLOAT, and nothing else.
    """
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            kind = next((a.t.data_type for a in node.attribute if a.name == "value"), 0)
            types.update(dict.fromkeys(node.output, kind))
    found = []
    for node in graph.node:
        weights = [types[name] for name in node.input[:2] if name in types]
        if node.op_type in LAYERS and weights:
            found.append(onnx.TensorProto.DataType.Name(weights[-1]))
    return found


def every_node(graph: Any) -> Iterator[Any]:
    """Yield the nodes of a graph and of the graphs inside them (If, Loop, Scan)."""
    for node in graph.node:
        yield node
        for inner in _inner_graphs(node):
            yield from every_node(inner)


def nesting(graph: Any) -> int:
    """Return how many graphs deep one lies in another, 0 where no node has one."""
    return max((1 + nesting(inner) for node in graph.node for inner in _inner_graphs(node)), default=0)


def _inner_graphs(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        yield from (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs)


def _every_tensor(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (*([attribute.t] if attribute.HasField("t") else ()), *attribute.tensors)
        for inner in _inner_graphs(node):
            yield from _every_tensor(inner)


def _take_weights(onnx: Any, model: Any, path: Path) -> bool:
    """Load weights that lie in other files; return whether there were any."""
    helper = onnx.external_data_helper
    outside = [tensor for tensor in _every_tensor(model.graph) if helper.uses_external_data(tensor)]
    files = {entry.value for t in outside for entry in t.external_data if entry.key == "location"}
    for name in sorted(files):
        if not (path.parent / name).is_file():
            raise ValueError(f"{path}: keeps its weights in '{name}', which is not beside it")
    if sum((path.parent / name).stat().st_size for name in files) > _MOST_BYTES:
        raise ValueError(_TOO_LARGE.format(path))
    try:
        helper.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # onnx's own errors share no base class
        raise ValueError(
            f"{path}: its weights in {', '.join(sorted(files))} cannot be read: {error}"
        ) from error
    return bool(outside)


def _size_with_weights(model: Any, path: Path) -> int:
    try:
        return len(model.SerializeToString())
    except Exception as error:  # protobuf's errors share no base class with anything
        raise ValueError(_TOO_LARGE.format(path)) from error


def import_once(model: Any) -> None:
    """Keep one import of each operator set: skl2onnx may write the same twice, which cannot be looked up."""
    versions: dict[str, int] = {}
    for opset in model.opset_import:
        domain = "" if opset.domain == "ai.onnx" else opset.domain
        versions[domain] = max(opset.version, versions.get(domain, 0))
    if len(versions) < len(model.opset_import):
        del model.opset_import[:]
        for domain, version in versions.items():
            model.opset_import.add(domain=domain, version=version)


def _without_zip_maps(onnx: Any, model: Any) -> Iterator[str]:
    """Give the tensor in place of the maps that are made of it; yield a note for each."""
    outputs = {value.name: value for value in model.graph.output}
    for node in model.graph.node:
        if node.op_type != "ZipMap" or outputs.keys().isdisjoint(node.output):
            continue
        labels = [
            label.decode() if isinstance(label, bytes) else str(label)
            for attribute in node.attribute
            for label in (*attribute.strings, *attribute.ints)
        ]
        name = node.output[0]
        tensor = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, len(labels)])
        outputs[name].CopyFrom(tensor)
        node.CopyFrom(onnx.helper.make_node("Identity", list(node.input), [name], name=node.name))
        shown = ", ".join(labels[:_MOST_LABELS]) + (", …" if len(labels) > _MOST_LABELS else "")
        yield (
            f"ZipMap is left out, since clients get tensors: output '{name}' is FP32 [-1, {len(labels)}], "
            f"its columns the classes {shown}"
        )
