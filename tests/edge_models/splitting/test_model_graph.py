"""A graph as a cut sees it."""

from __future__ import annotations

import numpy as np

from edge_models.splitting.model_graph import ModelGraph, is_random
from tests.edge_models.splitting import models


def test_what_depends_on_an_input_is_varying_and_weights_are_not():
    """However they are computed."""
    text = "g (float[n, 6] x) => (float[n, 6] y) { t = Neg (k) r = Relu (x) y = Mul (r, t) }"
    graph = ModelGraph(models.proto(text, k=np.ones(6, np.float32)).graph)

    assert graph.varying == {"x", "r", "y"}
    assert (graph.inputs, graph.outputs, graph.initializers) == (["x"], ["y"], {"k"})
    assert repr(graph) == "<ModelGraph 3 nodes, x -> y>"


def test_a_node_needs_what_the_graphs_within_it_take_from_outside():
    graph = ModelGraph(models.proto(models.INSIDE).graph)

    assert graph.needs[2] == {"flag", "a", "b"}
    assert list(graph.users("a")) == [1, 2]


def test_before_stops_at_the_tensors_that_it_is_given():
    """And tells at which it ended: those, inputs and weights."""
    graph = ModelGraph(models.proto(models.TOWER).graph)

    assert graph.before(["y"]) == ({0, 1, 2, 3}, {"x", "w0", "w1"})
    assert graph.before(["y"], until=["b"]) == ({2, 3}, {"b", "w1"})


def test_an_input_with_a_default_is_a_weight():
    """As before IR version 4, where weights are listed among the inputs."""
    model = models.proto(models.TOWER)
    model.graph.input.add(name="w0")

    assert ModelGraph(model.graph).inputs == ["x"]


def test_chance_is_seen_within_graphs():
    text = """g (float[n, 6] x, bool flag) => (float[2] y) { y = If (flag) <
      then_branch = yes () => (float[2] p) { p = RandomNormal <shape = [2]> () },
      else_branch = no () => (float[2] q) { q = RandomUniform <shape = [2]> () } > }"""
    plain = models.proto(models.INSIDE).graph.node

    assert is_random(models.proto(text).graph.node[0])
    assert not any(map(is_random, plain))
