"""Which cuts separate a model, and what is said about the others."""

from __future__ import annotations

import numpy as np
import pytest

from edge_models.splitting.cut import CutError, find_cut
from edge_models.splitting.model_graph import ModelGraph
from tests.edge_models.splitting import models

QDQ = """
qdq (float[n, 4] x) => (float[n, 6] z) {
  xq = QuantizeLinear (x, scale, zero)
  xd = DequantizeLinear (xq, scale, zero)
  [first] a = MatMul (xd, w0)
  aq = QuantizeLinear (a, scale, zero)
  ad = DequantizeLinear (aq, scale, zero)
  [last] z = Relu (ad)
}
"""
SCALES = {"scale": np.float32(0.1), "zero": np.uint8(128)}


def graph_of(text: str, **weights) -> ModelGraph:
    return ModelGraph(models.proto(text, **weights).graph)


@pytest.mark.parametrize("at", ["second", "b"])
def test_a_node_or_its_tensor_cuts_a_chain(at):
    """What it needs is the backbone, the rest the head."""
    cut = find_cut(graph_of(models.TOWER), [at])

    assert (cut.tensors, cut.backbone, cut.head) == (("b",), (0, 1), (2, 3))
    assert (cut.taken, cut.passed, cut.notes) == (("x",), (), ())


def test_several_tensors_cut_where_one_does_not():
    """With the skip connection's tensor the same cut separates."""
    graph = graph_of(models.SKIP)

    with pytest.raises(CutError, match=r"does not separate the model: a is made by .*--at a\)"):
        find_cut(graph, ["second"])

    assert find_cut(graph, ["second", "a"]).head == (2, 3)
    assert find_cut(graph, ["add"]).backbone == (0, 1, 2)


def test_an_input_goes_around_the_cut_only_where_it_is_passed():
    graph = graph_of(models.TWO)

    with pytest.raises(CutError, match=r"input 'user' reaches the outputs around the cut.*--pass user"):
        find_cut(graph, ["embedding"])
    cut = find_cut(graph, ["embedding"], ["user"])

    assert (cut.taken, cut.passed, cut.head) == (("x",), ("user",), (2, 3))


def test_an_output_before_the_cut_must_be_part_of_it():
    with pytest.raises(CutError, match=r"embedding is made by the backbone"):
        find_cut(graph_of(models.TWO), ["third"], ["user"])

    assert find_cut(graph_of(models.TWO), ["third", "embedding"], ["user"]).head == (3,)


def test_what_graphs_within_a_node_need_crosses_the_cut():
    """They name nothing as an input, and need it all the same."""
    graph = graph_of(models.INSIDE)

    with pytest.raises(CutError, match="a is made by the backbone"):
        find_cut(graph, ["second"], ["flag"])
    assert find_cut(graph, ["a", "b"], ["flag"]).head == (2,)


def test_constants_may_be_in_both_parts():
    text = """g (float[n, 6] x) => (float[n, 6] y) {
      t = Neg (k)
      [first] a = Mul (x, t)
      y = Add (a, t)
    }"""
    cut = find_cut(graph_of(text, k=np.ones(6, np.float32)), ["first"])

    assert (cut.backbone, cut.head) == ((0, 1), (0, 2))


def test_a_backbone_that_needs_what_the_head_makes_of_the_cut_takes_it_over():
    """With a and c cut, b between them belongs to the backbone, and nothing needs anything in a circle."""
    cut = find_cut(graph_of(models.SKIP), ["a", "add"][1:])
    assert cut.backbone == (0, 1, 2)

    with pytest.raises(CutError, match="nothing behind the cut needs 'a'"):
        find_cut(graph_of(models.SKIP), ["a", "add"])


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (["frist"], r"no node or tensor 'frist'; did you mean 'first'\?"),
        (["zzzzzz"], "no node or tensor 'zzzzzz'$"),
        (["x"], "'x' is an input of the model: before it there is no backbone"),
        (["w1"], "'w1' depends on no input"),
        (["last"], "behind last there is nothing"),
        ([], "nothing needs what is to be cut at"),
    ],
)
def test_a_wrong_place_is_told(at, message):
    with pytest.raises(CutError, match=message):
        find_cut(graph_of(models.TOWER), at)


@pytest.mark.parametrize(
    ("passed", "message"),
    [(["x"], "the head does not take the input 'x'"), (["usr"], "no input 'usr'; did you mean 'user'")],
)
def test_a_wrong_input_that_is_passed_is_told(passed, message):
    text = models.TWO if "usr" in passed else models.TOWER
    with pytest.raises(CutError, match=message):
        find_cut(graph_of(text), ["second"], passed)


def test_a_backbone_may_not_draw_lots():
    text = """g (float[n, 6] x) => (float[n, 6] y) {
      r = RandomNormalLike (x)
      [first] a = Add (x, r)
      y = Relu (a)
    }"""
    with pytest.raises(CutError, match="would hold a RandomNormalLike"):
        find_cut(graph_of(text), ["first"])


@pytest.mark.parametrize("at", ["first", "a", "aq", "ad"])
def test_an_int8_model_is_cut_at_the_quantized_tensor(at):
    """So that neither part loses its integer kernels, and a quarter of the bytes is kept."""
    cut = find_cut(graph_of(QDQ, **SCALES), [at])

    assert cut.tensors == ("aq",)
    assert (cut.notes == ()) == (at == "aq")


def test_unknown_names_can_be_told_from_cuts_that_do_not_separate():
    with pytest.raises(CutError) as unknown:
        find_cut(graph_of(models.SKIP), ["scond"])
    with pytest.raises(CutError) as wrong:
        find_cut(graph_of(models.SKIP), ["second"])

    assert (unknown.value.unknown, wrong.value.unknown) == (True, False)
