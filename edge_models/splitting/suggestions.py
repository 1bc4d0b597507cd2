"""Where a model can be cut at one tensor, how many bytes that is, and how much of the work lies before it.

Work is estimated: multiply-adds of convolutions and matrix products for one row, elements for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

from edge_models.splitting.cut import Cut, CutError, find_cut
from edge_models.splitting.model_graph import ModelGraph
from gateway.core.spelling import shown

_LEAST_SHARE: Final = 0.5
_MOST: Final = 8
_PRODUCTS: Final = frozenset({"MatMul", "MatMulInteger", "QLinearMatMul", "Gemm", "FusedMatMul"})
_CONVOLUTIONS: Final = {"Conv": 1, "ConvInteger": 1, "FusedConv": 1, "QLinearConv": 3}
"""Operators and the place of their weights among their inputs."""

_TRAINED: Final = frozenset(
    {
        *("TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor", "LinearClassifier"),
        *("LinearRegressor", "SVMClassifier", "SVMRegressor", "QGemm", "LSTM", "GRU", "RNN"),
    }
)
"""Other operators with weights."""

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A tensor at which a model can be cut.

    ``node``, ``operator``: what makes it. ``row_bytes``: of the tensor for one row. ``share``: of the work
    that lies before it, in 0 … 1.
    """

    tensor: str
    node: str
    operator: str
    row_bytes: int
    share: float

    def __str__(self) -> str:
        named = self.node or f"a {self.operator} without a name"
        return (
            f"{shown(self.tensor)} ({shown(named)}): {self.row_bytes:,} bytes a row, "
            f"{self.share:.1%} of the work before"
        )


def suggestions(
    graph: ModelGraph, shapes: Shapes, sizes: Mapping[str, int], passed: Sequence[str] = ()
) -> list[Suggestion]:
    """Return the best cuts at one tensor, the narrowest first: late in the graph, before weights.

    ``shapes``: of every tensor for one row; what is missing counts for nothing. ``sizes``: their bytes.
    """
    costs = work(graph, shapes)
    total = sum(costs) or 1
    found: dict[str, tuple[bool, Suggestion]] = {}
    for name in separators(graph, passed):
        try:
            cut = find_cut(graph, [name], passed)
        except CutError:
            continue
        tensor = cut.tensors[0]
        if tensor not in sizes or tensor in found:
            continue
        node = graph.nodes[graph.makers[tensor]]
        share = sum(costs[place] for place in cut.backbone) / total
        made = Suggestion(tensor, node.name, node.op_type, sizes[tensor], share)
        found[tensor] = _has_weights(graph, cut), made
    best = [made for _, made in found.values()]
    for wanted in (
        [made for has_weights, made in found.values() if has_weights and made.share >= _LEAST_SHARE],
        [made for has_weights, made in found.values() if has_weights],
    ):
        if wanted:
            best = wanted
            break
    return sorted(best, key=lambda made: (made.row_bytes, -made.share))[:_MOST]


def separators(graph: ModelGraph, passed: Iterable[str] = ()) -> list[str]:
    """Return the tensors that separate the model alone, in the order of their nodes.

    If one does, whatever depends on the inputs and not on it is needed by it, so in any topological order it
    is the only such tensor between what is before and what is after.
    """
    around = frozenset(passed)
    left = {name: len(graph.users(name)) + (name in graph.outputs) for name in graph.varying - around}
    live = {name for name in graph.inputs if name not in around and left[name]}
    found: list[str] = []
    for node, needs in zip(graph.nodes, graph.needs, strict=True):
        for name in needs & left.keys():
            left[name] -= 1
            if not left[name]:
                live.discard(name)
        live.update(name for name in node.output if left.get(name))
        if len(live) == 1 and (name := next(iter(live))) in node.output:
            found.append(name)
    return found


def work(graph: ModelGraph, shapes: Shapes) -> list[int]:
    """Return the estimated work of each node."""
    return [_cost(node, shapes) for node in graph.nodes]


def _cost(node: Any, shapes: Shapes) -> int:
    made = sum(prod(shapes[name]) for name in node.output if name in shapes)
    if node.op_type in _CONVOLUTIONS and len(node.input) > _CONVOLUTIONS[node.op_type]:
        weights = shapes.get(node.input[_CONVOLUTIONS[node.op_type]], ())
        return made * prod(weights[1:])
    if node.op_type in _PRODUCTS and node.input:
        first = shapes.get(node.input[0], ())
        is_turned = any(each.name == "transA" and each.i for each in node.attribute)
        return made * (first[0 if is_turned else -1] if first else 1)
    return made


def _has_weights(graph: ModelGraph, cut: Cut) -> bool:
    """Whether the head has something that could be trained anew."""
    kinds = _PRODUCTS | _CONVOLUTIONS.keys() | _TRAINED
    return any(graph.nodes[place].op_type in kinds for place in cut.head)
