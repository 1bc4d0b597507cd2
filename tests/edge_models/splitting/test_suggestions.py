"""Where a model can be cut at one tensor."""

from __future__ import annotations

from edge_models.splitting.cut import CutError, find_cut
from edge_models.splitting.model_graph import ModelGraph
from edge_models.splitting.suggestions import separators, suggestions, work
from tests.edge_models.splitting import models

SHAPES = {
    "x": (1, 4),
    "a": (1, 6),
    "b": (1, 6),
    "c": (1, 3),
    "y": (1, 3),
    **{name: array.shape for name, array in models.WEIGHTS.items()},
}


def graph_of(text: str) -> ModelGraph:
    return ModelGraph(models.proto(text).graph)


def test_separators_are_what_find_cut_takes():
    """Tensor by tensor, in models with skips, several inputs, outputs in the middle and graphs within."""
    for text, passed in (
        (models.TOWER, []),
        (models.SKIP, []),
        (models.TWO, ["user"]),
        (models.INSIDE, ["flag"]),
    ):
        graph = graph_of(text)
        possible = []
        for name in graph.makers:
            try:
                find_cut(graph, [name], passed)
            except CutError:
                continue
            possible.append(name)
        found = [name for name in separators(graph, passed) if set(graph.users(name))]
        assert found == possible, text


def test_an_input_that_is_not_passed_leaves_no_separator():
    assert separators(graph_of(models.TWO)) == []


def test_work_is_multiply_adds_of_products_and_elements_of_the_rest():
    """A product [1, 4] x [4, 6] takes 24, one [1, 6] x [6, 3] 18."""
    assert work(graph_of(models.TOWER), SHAPES) == [24, 6, 18, 3]


def test_work_of_a_convolution_is_its_filters_for_each_pixel():
    text = """g (float[n, 2, 8, 8] x) => (float[n, 5, 6, 6] y) { y = Conv (x, k) }"""
    shapes = {"x": (1, 2, 8, 8), "k": (5, 2, 3, 3), "y": (1, 5, 6, 6)}

    assert work(graph_of(text), shapes) == [5 * 36 * 18]


def test_a_head_of_trees_has_weights_and_one_of_labels_has_none():
    """Whatever domain an operator is of."""
    text = """g (float[n, 4] x) => (float[n, 1] y) {
      a = MatMul (x, w0)
      b = ai.onnx.ml.LinearRegressor <coefficients = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]> (a)
      y = ai.onnx.ml.Scaler <offset = [0.0], scale = [2.0]> (b)
    }"""
    sizes = {"a": 24, "b": 4, "y": 4}

    assert [each.tensor for each in suggestions(graph_of(text), SHAPES, sizes)] == ["a"]


def test_the_narrowest_late_tensor_before_weights_comes_first():
    """c is narrower, but behind it a head has nothing to be trained."""
    sizes = {"a": 24, "b": 24, "c": 12, "y": 12}

    found = suggestions(graph_of(models.TOWER), SHAPES, sizes)

    assert [each.tensor for each in found] == ["b"]
    assert round(found[0].share, 3) == round(30 / 51, 3)
    assert str(found[0]) == "b (second): 24 bytes a row, 58.8% of the work before"
