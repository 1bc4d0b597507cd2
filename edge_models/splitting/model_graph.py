"""A model's graph as a cut sees it: which node makes a tensor, which need it, and what depends on an input.

Nodes are numbered in their order, which ONNX wants to be topological. A node that holds graphs (If, Loop,
Scan) needs all that these take from outside. Tensors that depend on no input are constants, wherever they are
computed: they cross no cut, for both parts can have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any


class ModelGraph:
    """The nodes and tensors of a ``GraphProto``.

    ``nodes``: in their order. ``inputs``, ``outputs``: names. ``initializers``: names of weights.
    """

    def __init__(self, graph: Any) -> None:
        self.nodes: Sequence[Any] = list(graph.node)
        self.initializers = {each.name for each in graph.initializer} | {
            each.values.name for each in graph.sparse_initializer
        }
        self.inputs = [each.name for each in graph.input if each.name not in self.initializers]
        self.outputs = [each.name for each in graph.output]
        self.needs: list[frozenset[str]] = [frozenset(_needs(node)) for node in self.nodes]
        self.makers: dict[str, int] = {
            name: place for place, node in enumerate(self.nodes) for name in node.output if name
        }
        self._users: dict[str, list[int]] = {}
        for place, names in enumerate(self.needs):
            for name in names:
                self._users.setdefault(name, []).append(place)
        self.varying = self._varying()

    def __repr__(self) -> str:
        return f"<ModelGraph {len(self.nodes)} nodes, {', '.join(self.inputs)} -> {', '.join(self.outputs)}>"

    def users(self, name: str) -> Sequence[int]:
        """Return the nodes that need the tensor ``name``."""
        return self._users.get(name, ())

    def before(self, names: Iterable[str], *, until: Iterable[str] = ()) -> tuple[set[int], set[str]]:
        """Return the nodes that ``names`` need, and the tensors met that no node of them makes.

        ``until``: tensors behind which nothing is looked at; those of ``names`` are looked behind first.
        """
        stops = frozenset(until)
        found: set[int] = set()
        ends: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            place = None if name in stops else self.makers.get(name)
            if place is None:
                ends.add(name)
            elif place not in found:
                found.add(place)
                waiting += self.needs[place]
        return found, ends

    def _varying(self) -> frozenset[str]:
        varying = set(self.inputs)
        for node, needs in zip(self.nodes, self.needs, strict=True):
            if not varying.isdisjoint(needs) or is_random(node):
                varying.update(name for name in node.output if name)
        return frozenset(varying)


def _needs(node: Any) -> Iterator[str]:
    yield from (name for name in node.input if name)
    for graph in inner_graphs(node):
        yield from _from_outside(graph)


def _from_outside(graph: Any) -> set[str]:
    """Return the names that a graph within a node takes from outside."""
    own = {each.name for each in (*graph.input, *graph.initializer)}
    own |= {each.values.name for each in graph.sparse_initializer}
    own |= {name for node in graph.node for name in node.output}
    used = {name for node in graph.node for name in _needs(node)}
    return (used | {each.name for each in graph.output}) - own


def inner_graphs(node: Any) -> Iterator[Any]:
    """Yield the graphs that ``node`` holds."""
    for attribute in node.attribute:
        yield from (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs)


def is_random(node: Any) -> bool:
    """Whether ``node``, or one in a graph that it holds, draws something."""
    if node.op_type.startswith("Random") or node.op_type in {"Bernoulli", "Multinomial"}:
        return True
    return any(is_random(inner) for graph in inner_graphs(node) for inner in graph.node)
