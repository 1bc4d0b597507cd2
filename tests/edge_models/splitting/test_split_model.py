"""A model cut in two and compared with what it was."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import pytest

from edge_models.model_files import ModelFiles
from edge_models.samples import digits
from edge_models.session import Session
from edge_models.split_session import SplitSession
from edge_models.splitting.cut import CutError
from edge_models.splitting.probe import feeds_of
from edge_models.splitting.split_model import SplitModel, Splitter, difference
from tests.edge_models import onnx_models
from tests.edge_models.splitting import models


def opened(made: SplitModel) -> SplitSession:
    parts = [Session(Path("part"), ModelFiles(content)) for content in (made.features, made.head)]
    return SplitSession(Path("split"), *parts)


@pytest.mark.parametrize(
    ("repository", "at"), [(digits.EDGE_REPOSITORY, "gemm0"), (digits.CENTRAL_REPOSITORY, "relu11")]
)
def test_real_models_are_equal_bit_for_bit(repository: Path, at: str):
    """A float one and one in int8, whose integer kernels a cut elsewhere would tear apart."""
    images, _ = digits.load_split("test")
    splitter = Splitter(onnx, digits.model_path(repository), feeds_of(digits.as_input(images[:200])))

    made = splitter.split([at])
    split = opened(made)

    assert (made.rows, made.difference) == (203, 0.0)
    assert (split.digest, split.features.digest) == (made.digest, made.features_digest)
    assert made.row_bytes in {24, 384}
    assert made.share > 0.9


def test_the_best_suggestion_can_be_cut():
    splitter = Splitter(onnx, digits.model_path(digits.CENTRAL_REPOSITORY))
    best = splitter.suggest()[0]

    assert (best.tensor, best.row_bytes) == ("relu11.out", 384)
    assert splitter.split([best.tensor]).row_bytes == best.row_bytes


def test_several_inputs_and_outputs(tmp_path):
    made = Splitter(onnx, models.write(tmp_path, models.TWO)).split(["embedding"], ["user"])
    split = opened(made)

    assert made.difference == 0.0
    assert [each.name for each in split.inputs] == ["x", "user"]
    assert [each.name for each in split.outputs] == ["y", "embedding"]
    assert split.passed == ("user",)


def test_weights_in_other_files_are_taken_in(tmp_path):
    file = tmp_path / "model.onnx"
    onnx_models.write_external(file)
    name = onnx.load(file, load_external_data=False).graph.node[0].output[0]

    made = Splitter(onnx, file).split([name])

    assert opened(made).batchable
    assert b"weights.bin" not in made.features


@pytest.mark.parametrize("batch", ["n", "2"])
def test_a_backbone_whose_rows_depend_on_each_other_is_refused(tmp_path, batch):
    """Rows are looked up one by one; a model that is not batched is looked up as a whole."""
    text = f"""crowd (float[{batch}, 4] x) => (float[{batch}, 4] y) {{
      m = ReduceMean <axes = [0]> (x)
      d = Sub (x, m)
      y = Neg (d)
    }}"""
    splitter = Splitter(onnx, models.write(tmp_path, text))
    if batch == "n":
        with pytest.raises(CutError, match="a row of 'd' depends on the rows beside it"):
            splitter.split(["d"])
    else:
        assert splitter.split(["d"]).difference == 0.0


def test_texts_go_into_the_backbone(tmp_path):
    """Features are numbers, what they are made of need not be."""
    text = """words (string[n, 1] t) => (float[n, 3] y) {
      [label] i = ai.onnx.ml.LabelEncoder <keys_strings = ["a"], values_floats = [2.0], default_float = 1.0> (t)
      [wide] x = Expand (i, shape)
      y = MatMul (x, w1)
    }"""
    made = Splitter(onnx, models.write(tmp_path, text, shape=np.array([1, 6]))).split(["wide"])

    assert made.difference == 0.0
    assert opened(made).inputs[0].datatype == "BYTES"


def test_progress_is_told_feed_by_feed(tmp_path):
    heard = []
    splitter = Splitter(onnx, models.write(tmp_path, models.TOWER))

    splitter.split(["second"], progress=lambda step, done, of: heard.append((step, done, of)))

    assert heard == [("cutting", 0, 1), *(("comparing", done, 4) for done in (1, 2, 3, 4))]
    assert repr(splitter).startswith("<Splitter ")


def test_an_input_that_nothing_needs_cannot_get_lost(tmp_path):
    text = "g (float[n, 6] x, float[n, 6] z) => (float[n, 6] y) { [first] a = Relu (x)  y = Neg (a) }"

    with pytest.raises(CutError, match="no output needs the input 'z'"):
        Splitter(onnx, models.write(tmp_path, text)).split(["first"])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1.0, np.nan], [1.0, np.nan], 0.0),
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([1.0, np.nan], [1.0, 2.0], math.inf),
        ([0.0, np.inf], [-0.0, np.inf], math.ulp(0.0)),
        ([1.0], [1.0, 1.0], math.inf),
    ],
)
def test_a_difference_is_of_bits_and_only_then_of_values(one, other, expected):
    assert difference(np.array(one, np.float32), np.array(other, np.float32)) == expected


def test_texts_differ_or_they_do_not():
    one, other = np.array(["a"], object), np.array(["b"], object)

    assert (difference(one, one.copy()), difference(one, other)) == (0.0, math.inf)
