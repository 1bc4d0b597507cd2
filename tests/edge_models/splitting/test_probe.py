"""What the tensors inside a model are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from edge_models.session import Session
from edge_models.splitting.cut import CutError, find_cut
from edge_models.splitting.model_graph import ModelGraph
from edge_models.splitting.parts import TensorForm
from edge_models.splitting.probe import Probe, feeds_of, made_feeds, probe_all
from gateway.core.errors import GatewayError
from tests.edge_models.splitting import models

FOLDS = """
folds (float[n, 4] x) => (float[n, 3] y) {
  [first] a = MatMul (x, w0)
  [turn] t = Transpose <perm = [1, 0]> (a)
  [back] u = Transpose <perm = [1, 0]> (t)
  y = MatMul (u, w1)
}
"""


def forms(folder: Path, text: str, at: str, **weights):
    path = models.write(folder, text, **weights)
    model, whole = models.proto(text, **weights), Session(path)
    cut = find_cut(ModelGraph(model.graph), [at])
    return Probe(onnx, model, cut.tensors).forms(cut, list(made_feeds(whole))[:3], whole)


def test_a_tensor_has_the_batch_of_the_inputs_and_dimensions_of_its_own(tmp_path):
    """Also where ONNX Runtime lost the batch on the way, as a reshape makes it."""
    text = """g (float[n, 4] x) => (float[n, 3] y) {
      a = MatMul (x, w0)  [fold] f = Reshape (a, shape)  y = MatMul (f, w1) }"""

    assert forms(tmp_path / "a", models.TOWER, "b") == {"b": TensorForm(1, ["n", 6])}
    assert forms(tmp_path / "b", text, "f", shape=np.array([-1, 6])) == {"f": TensorForm(1, ["n", 6])}


def test_a_tensor_without_the_batch_first_is_no_place_to_cut(tmp_path):
    with pytest.raises(CutError, match=r"'t' does not have one row for each of the input's.*\[6, 3\] for 3"):
        forms(tmp_path, FOLDS, "turn")


def test_texts_are_no_features(tmp_path):
    text = """g (string[n, 1] t) => (string[n, 1] y) { [first] a = Identity (t)  y = Identity (a) }"""

    with pytest.raises(CutError, match=r"'a' is a tensor\(string\), and features are tensors of numbers"):
        forms(tmp_path, text, "first")


def test_shapes_and_bytes_of_all_that_depends_on_the_inputs():
    model = models.proto(models.TWO)
    probe = probe_all(onnx, model, ModelGraph(model.graph))

    found = probe.shapes({"x": np.ones((1, 4), np.float32), "user": np.ones((1, 3), np.float32)})

    assert found == {
        "y": ((1, 3), 12),
        "embedding": ((1, 6), 24),
        "a": ((1, 6), 24),
        "c": ((1, 3), 12),
    }
    assert repr(probe) == "<Probe of 4 tensors>"


def test_a_run_that_fails_says_so_in_our_words():
    model = models.proto(models.TOWER)

    with pytest.raises(GatewayError, match="the model cannot use the values"):
        probe_all(onnx, model, ModelGraph(model.graph)).shapes({"x": np.ones((1, 5), np.float32)})


def test_made_up_feeds_fit_any_model(tmp_path):
    """Numbers, whole numbers, booleans and texts, with and without a batch."""
    text = """g (float[n, k] x, int64[n, 2] i, bool[n, 1] b, string[n, 1] t) => (float[n, k] y) { y = Relu (x) }"""
    feeds = list(made_feeds(Session(models.write(tmp_path, text))))

    assert [len(feed["x"]) for feed in feeds] == [1, 2, 3, 8]
    assert feeds[1]["x"].shape == (2, 8)
    assert {name: array.dtype.name for name, array in feeds[0].items()} == {
        "x": "float32",
        "i": "int64",
        "b": "bool",
        "t": "object",
    }
    assert feeds[3]["t"].ravel()[:2].tolist() == [b"edge 0", b"edge 1"]

    fixed = "f (float[2, 4] x) => (float[2, 4] y) { y = Relu (x) }"
    assert [feed["x"].shape for feed in made_feeds(Session(models.write(tmp_path, fixed)))] == [(2, 4)] * 3


def test_a_sample_is_run_row_by_row_as_well(tmp_path):
    session = Session(models.write(tmp_path, models.TOWER))
    rows = np.arange(40, dtype=np.float32).reshape(10, 4)

    assert [len(feed["x"]) for feed in feeds_of(rows)(session)] == [1, 2, 10]
    with pytest.raises(ValueError, match="the sample is FP64"):
        list(feeds_of(rows.astype(np.float64))(session))


def test_texts_reach_the_probe_as_texts():
    text = """g (string[n, 1] t) => (string[n, 1] y) { [first] a = Identity (t)  y = Identity (a) }"""
    model = models.proto(text)
    given = np.array([[b"one"]], object)

    assert probe_all(onnx, model, ModelGraph(model.graph)).shapes({"t": given})["y"][0] == (1, 1)
