"""Where a model is cut, and whether that separates it: decided on its graph, before anything is written.

A cut is a set of tensors. What they need is the backbone, what the outputs need without looking behind them
is the head. It separates the model when nothing that depends on an input lies in both: each path from an
input to an output crosses it, but for inputs that are passed to the head as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge_models.splitting.model_graph import ModelGraph, is_random
from gateway.core.spelling import listed, nearest, shown

_QUANTIZE: Final = "QuantizeLinear"
_DEQUANTIZE: Final = "DequantizeLinear"
_MOST_NAMED: Final = 4


class CutError(ValueError):
    """Why there is no such cut, in a sentence. ``unknown``: a name that the model does not have."""

    def __init__(self, message: str, *, unknown: bool = False) -> None:
        super().__init__(message)
        self.unknown = unknown


@dataclass(frozen=True, slots=True)
class Cut:
    """A cut that separates a model.

    ``tensors``: what the backbone gives and the head takes. ``backbone``, ``head``: the nodes of each; those
    that compute constants may be in both. ``taken``: the model's inputs that the backbone takes.
    ``passed``: those that the head takes as they are. ``notes``: what was put right.
    """

    tensors: tuple[str, ...]
    backbone: tuple[int, ...]
    head: tuple[int, ...]
    taken: tuple[str, ...]
    passed: tuple[str, ...]
    notes: tuple[str, ...] = ()


def find_cut(graph: ModelGraph, at: Sequence[str], passed: Iterable[str] = ()) -> Cut:
    """Return the cut at the nodes or tensors ``at``; ``passed``: inputs that may go around it.

    Raises:
        CutError: it does not separate the model, or a name is unknown.
    """
    passed = dict.fromkeys(passed)
    for name in passed:
        if name not in graph.inputs:
            raise CutError(_unknown("input", name, graph.inputs), unknown=True)
    notes: list[str] = []
    tensors = _quantized(graph, _tensors(graph, at), notes)
    _check_positions(graph, tensors, at)
    backbone, ends = graph.before(tensors)
    head, needed = graph.before(graph.outputs, until=tensors)
    unused = [name for name in tensors if name not in needed]
    if unused:
        raise CutError(
            f"nothing behind the cut needs '{shown(unused[0])}': what is left out there, or lies before "
            "another tensor of the cut, is no part of it"
        )
    around = tuple(name for name in graph.inputs if name in needed)
    bypass = _bypass(graph, tensors, backbone & head, head, set(graph.inputs) - passed.keys())
    _check_separated(bypass, [name for name in around if name not in passed])
    _check_chance(graph, backbone)
    taken = tuple(name for name in graph.inputs if name in ends)
    if idle := [name for name in passed if name not in around]:
        raise CutError(f"the head does not take the input '{shown(idle[0])}': do not pass it")
    return Cut(tuple(tensors), _in_order(backbone), _in_order(head), taken, around, tuple(notes))


def _tensors(graph: ModelGraph, at: Sequence[str]) -> list[str]:
    """Return the tensors that ``at`` names, those of a node being the ones that others need."""
    by_node: dict[str, Any] = {node.name: node for node in graph.nodes if node.name}
    known = {*graph.makers, *graph.inputs, *graph.initializers}
    found: dict[str, None] = {}
    for name in at:
        if name in known:
            found[name] = None
        elif name in by_node:
            wanted = [each for each in by_node[name].output if graph.users(each) or each in graph.outputs]
            found.update(dict.fromkeys(wanted))
        else:
            raise CutError(_unknown("node or tensor", name, (*by_node, *graph.makers)), unknown=True)
    if not found:
        raise CutError("nothing needs what is to be cut at", unknown=True)
    return list(found)


def _quantized(graph: ModelGraph, tensors: Sequence[str], notes: list[str]) -> list[str]:
    """Return the int8 form of the tensors that have one: a quarter of the bytes, and no kernel is torn apart.

    ONNX Runtime makes one integer kernel of dequantize, operator and quantize. A cut between an operator and
    its QuantizeLinear, or between a DequantizeLinear and its operator, would leave each of them in floats.
    """
    found: dict[str, None] = {}
    for name in tensors:
        better = _integer_form(graph, name)
        if better != name:
            notes.append(f"cut at '{better}', the quantized form of '{name}'")
        found[better] = None
    return list(found)


def _integer_form(graph: ModelGraph, name: str) -> str:
    place = graph.makers.get(name)
    if place is not None and graph.nodes[place].op_type == _DEQUANTIZE:
        source = str(graph.nodes[place].input[0])
        return source if source in graph.varying else name
    users = [graph.nodes[place] for place in graph.users(name)]
    if len(users) == 1 and users[0].op_type == _QUANTIZE and name not in graph.outputs:
        return str(users[0].output[0])
    return name


def _check_positions(graph: ModelGraph, tensors: Sequence[str], at: Sequence[str]) -> None:
    for name in tensors:
        if name in graph.inputs:
            raise CutError(f"'{shown(name)}' is an input of the model: before it there is no backbone")
        if name not in graph.varying:
            raise CutError(
                f"'{shown(name)}' depends on no input: it is the same for every request, and no feature"
            )
    if all(name in graph.outputs and not graph.users(name) for name in tensors):
        named = listed(at)
        raise CutError(f"behind {named} there is nothing: a head needs something to compute")


def _check_separated(bypass: Sequence[str], around: Sequence[str]) -> None:
    """Refuse a cut around which something that depends on an input reaches the head."""
    if bypass:
        more = " ".join(f"--at {shown(name)}" for name in bypass[:_MOST_NAMED])
        raise CutError(
            f"the cut does not separate the model: {listed(bypass)} is made by the backbone and needed "
            f"behind the cut as well. Cut there, too ({more}), or at a node through which everything goes"
        )
    if around:
        raise CutError(
            f"the input '{shown(around[0])}' reaches the outputs around the cut: pass it to the head "
            f"(--pass {shown(around[0])}), or cut where everything has come together"
        )


def _bypass(
    graph: ModelGraph, tensors: Sequence[str], both: set[int], head: set[int], inputs: set[str]
) -> list[str]:
    """Return what the backbone makes of ``inputs`` and the head would have to make again, at its border.

    ``both``: the nodes that are in both parts.
    """
    found: dict[str, None] = {}
    for place in sorted(both):
        for name in graph.nodes[place].output:
            is_behind = name in graph.outputs or any(
                user in head and user not in both for user in graph.users(name)
            )
            if is_behind and name not in tensors and not _ends(graph, name, tensors).isdisjoint(inputs):
                found[name] = None
    return list(found)


def _ends(graph: ModelGraph, name: str, until: Sequence[str]) -> set[str]:
    return graph.before([name], until=until)[1]


def _check_chance(graph: ModelGraph, backbone: set[int]) -> None:
    for place in backbone:
        if is_random(graph.nodes[place]):
            name = graph.nodes[place].op_type
            raise CutError(
                f"the backbone would hold a {name}: what is drawn once is not to be kept. Cut before it"
            )


def _in_order(places: set[int]) -> tuple[int, ...]:
    return tuple(sorted(places))


def _unknown(kind: str, name: str, known: Sequence[str]) -> str:
    close = nearest(name, known)
    hint = f"; did you mean '{shown(close)}'?" if close is not None else ""
    return f"the model has no {kind} '{shown(name)}'{hint}"
