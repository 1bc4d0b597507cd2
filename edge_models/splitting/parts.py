"""The two files of a cut model, as ``ModelProto``: deterministic, so that equal backbones are equal files.

What says nothing about what is computed (names, descriptions, the exporter, metadata) is left out of
the backbone. Then two models with one backbone, and two versions of one model of which only the head was
trained anew, have `features.onnx` with one digest, and share what is kept of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_models.splitting.cut import Cut
from edge_models.splitting.model_graph import ModelGraph, inner_graphs


@dataclass(frozen=True, slots=True)
class TensorForm:
    """What a tensor is: ``datatype`` of ``onnx.TensorProto``, and its dimensions, free ones by name."""

    datatype: int
    shape: Sequence[int | str]


def cut_apart(onnx: Any, model: Any, cut: Cut, forms: Mapping[str, TensorForm]) -> tuple[Any, Any]:
    """Return the backbone and the head of ``model``, cut at ``cut``; ``forms``: of the cut's tensors."""
    infos = {each.name: each for each in (*model.graph.input, *model.graph.output)}
    made = [_value(onnx, name, forms[name]) for name in cut.tensors]
    backbone = _part(onnx, model, cut.backbone, [infos[name] for name in cut.taken], made)
    head = _part(
        onnx, model, cut.head, [*made, *(infos[name] for name in cut.passed)], list(model.graph.output)
    )
    head.graph.name = model.graph.name
    head.metadata_props.extend(model.metadata_props)
    return backbone, head


def _part(onnx: Any, model: Any, places: Sequence[int], inputs: list[Any], outputs: list[Any]) -> Any:
    graph = ModelGraph(model.graph)
    part = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    part.graph.name = "features"
    nodes = [graph.nodes[place] for place in places]
    part.graph.node.extend(nodes)
    for node in part.graph.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    for each in inputs:
        part.graph.input.add().CopyFrom(_bare(each))
    for each in outputs:
        part.graph.output.add().CopyFrom(_bare(each))
    # A graph may give a weight as it is.
    used = {name for place in places for name in graph.needs[place]} | {each.name for each in outputs}
    part.graph.initializer.extend(each for each in model.graph.initializer if each.name in used)
    part.graph.sparse_initializer.extend(
        each for each in model.graph.sparse_initializer if each.values.name in used
    )
    part.functions.extend(_functions(model, nodes))
    return part


def _bare(value: Any) -> Any:
    bare = type(value)()
    bare.CopyFrom(value)
    bare.ClearField("doc_string")
    bare.ClearField("metadata_props")
    return bare


def _value(onnx: Any, name: str, form: TensorForm) -> Any:
    return onnx.helper.make_tensor_value_info(name, form.datatype, list(form.shape))


def _functions(model: Any, nodes: Iterable[Any]) -> list[Any]:
    """Return the local functions that ``nodes`` call, and those that these call, in the model's order."""
    known = {_key(each.domain, each.name, each): each for each in model.functions}
    called: set[tuple[str, str, str]] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        waiting += (inner for graph in inner_graphs(node) for inner in graph.node)
        key = _key(node.domain, node.op_type, node)
        if key in known and key not in called:
            called.add(key)
            waiting += known[key].node
    return [each for key, each in known.items() if key in called]


def _key(domain: str, name: str, overloaded: Any) -> tuple[str, str, str]:
    return "" if domain == "ai.onnx" else domain, name, overloaded.overload
