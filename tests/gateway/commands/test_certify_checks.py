"""What would make a certificate untrue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnxruntime.quantization import quantize_dynamic

from gateway.commands.certify import PairMeasurement, measure_models
from gateway.commands.certify_checks import notes
from gateway.commands.certify_decision import DecisionOptions
from gateway.core.tensor import Array
from tests.edge_models import onnx_models as models

ROWS = np.random.default_rng(2).normal(size=(300, 16)).astype(np.float32)


def measure(
    folder: Path, edge: bytes, central: bytes, sample: Array = ROWS, **chosen: object
) -> PairMeasurement:
    for name, content in (("edge", edge), ("central", central)):
        (folder / f"{name}.onnx").write_bytes(content)
    return measure_models(
        "m", folder / "edge.onnx", folder / "central.onnx", sample, chosen=DecisionOptions(**chosen)
    )


@pytest.mark.filterwarnings("ignore")
def test_a_dynamically_quantized_edge_is_refused(tmp_path: Path) -> None:
    """Its scales are those of the whole run: alone it gives another answer than it was certified with."""
    floating = models.mlp((16, 32, 5))
    (tmp_path / "float.onnx").write_bytes(floating)
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "dynamic.onnx")

    assert measure(tmp_path, floating, floating).scores.shape == (300,)
    with pytest.raises(ValueError, match="'probabilities' depends on the rows that are run beside a row"):
        measure(tmp_path, (tmp_path / "dynamic.onnx").read_bytes(), floating)


def test_rows_that_are_copies_are_told() -> None:
    """A few are natural; many are a sample made larger by hand."""
    assert notes({"": ROWS}, 300, is_constant=False) == ()
    assert (
        "299 of 300 rows are copies" in notes({"": ROWS[:1].repeat(300, axis=0)}, 300, is_constant=False)[0]
    )
    # Of several inputs a row is a copy when all of them are.
    assert (
        notes({"a": ROWS, "b": ROWS[:1].repeat(300, axis=0), "c": np.array(1)}, 300, is_constant=False) == ()
    )


def test_a_central_model_that_says_one_thing_is_told(tmp_path: Path) -> None:
    """Who agrees with it has been asked about nothing else."""
    weights = np.ones((4, 2), np.float32) * np.array([[0, 1]], np.float32)
    rows = np.abs(ROWS[:, :4])

    constant = measure(tmp_path, models.softmax_of(weights), models.softmax_of(weights), rows)
    mixed = measure(tmp_path, models.softmax_of(weights), models.softmax_of(weights), ROWS[:, :4])

    assert "one and the same answer to all 300 rows" in constant.notes[0]
    assert mixed.notes == ()


def test_a_later_row_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Logits that look like probabilities at first are found out by a later row."""
    rows = np.full((200, 4), 0.2, np.float32)
    rows[150] = 3

    with pytest.raises(ValueError, match=r"are they logits\? \(--values says which\)"):
        measure(tmp_path, models.affine(1.0), models.affine(1.0), rows, task="multilabel")


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_probabilities_that_are_said_to_be_logits(tmp_path: Path, task: str) -> None:
    """The sigmoid of a probability is above one half, always: two models that say so agree about nothing."""
    content = models.sigmoid(np.ones((4, 1), np.float32))

    with pytest.raises(ValueError, match="are they probabilities"):
        measure(tmp_path, content, content, ROWS[:, :4], task=task, values="logits")
