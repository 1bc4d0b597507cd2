"""The digits sample: honest splits, and models that are what their cards say."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_models.certify import Calibration, certify, digest_file, disagreement
from edge_models.confidence import MEASURES
from edge_models.samples.digits import (
    CENTRAL_REPOSITORY,
    EDGE_REPOSITORY,
    INPUT,
    OUTPUT,
    as_input,
    load_split,
    model_path,
)
from edge_models.samples.digits.splits import read_source
from edge_models.session import Session
from gateway.core.catalog import TensorSpec
from gateway.core.tensor import Array

REPOSITORIES = {"edge": EDGE_REPOSITORY, "central": CENTRAL_REPOSITORY}
tiers = pytest.mark.parametrize("tier", REPOSITORIES)

IMAGES, LABELS = load_split("test")
ROWS = as_input(IMAGES)


@cache
def session(tier: str) -> Session:
    return Session(model_path(REPOSITORIES[tier]))


@cache
def answers(tier: str, split: str) -> Array:
    images, _ = load_split("test" if split == "test" else "calibration")
    return run(tier, as_input(images))


def run(tier: str, rows: Array) -> Array:
    return session(tier).run({INPUT: rows}, [OUTPUT])[0]


def card(tier: str) -> str:
    return (model_path(REPOSITORIES[tier]).parent.parent / "card.md").read_text(encoding="utf-8")


def calibration(score: str = "max_probability") -> Calibration:
    return certify(answers("edge", "calibration"), answers("central", "calibration"), score=score)


# The data


def test_the_splits_are_disjoint_by_hash() -> None:
    """No image is in both splits, none is twice in one, and the order is that of the hashes."""
    digests = {
        name: [hashlib.sha256(image.tobytes()).hexdigest() for image in load_split(name)[0]]
        for name in ("calibration", "test")
    }

    assert [len(set(rows)) for rows in digests.values()] == [2000, 2000]
    assert not set(digests["calibration"]) & set(digests["test"])
    assert digests["calibration"] == sorted(digests["calibration"])
    assert digests["test"] == sorted(digests["test"])
    # In an order by hash, all that stands before is smaller: the train split shares nothing with these.
    assert digests["calibration"][-1] < digests["test"][0]


@pytest.mark.parametrize("name", ["calibration", "test"])
def test_a_split_has_the_promised_form(name: str) -> None:
    """2,000 images of every digit, as bytes."""
    images, labels = load_split("test" if name == "test" else "calibration")

    assert (images.shape, images.dtype) == ((2000, 28, 28), np.uint8)
    assert (labels.shape, labels.dtype) == ((2000,), np.uint8)
    assert set(labels.tolist()) == set(range(10))


def test_pixels_become_floats_between_0_and_1() -> None:
    """255 is exactly 1, and an image is one row."""
    rows = as_input(np.array([[[0, 255], [51, 0]]], np.uint8))

    assert rows.dtype == np.float32
    assert rows.tolist() == [[0.0, 1.0, np.float32(0.2), 0.0]]


@pytest.mark.parametrize("order", [[1, 0], [0, 0]])
def test_a_source_out_of_order_is_refused(tmp_path: Path, order: list[int]) -> None:
    """A split by position is a split by hash only in the order of the hashes, without repetitions."""
    source = tmp_path / "source.npz"
    np.savez(source, images=IMAGES[order], labels=LABELS[order])

    with pytest.raises(ValueError, match=r"source\.npz: the images are not ordered by hash"):
        read_source(source)


def test_a_source_in_order_is_read(tmp_path: Path) -> None:
    """What is in order is returned as it is."""
    np.savez(tmp_path / "source.npz", images=IMAGES[:9], labels=LABELS[:9])

    images, labels = read_source(tmp_path / "source.npz")

    assert images.tobytes() == IMAGES[:9].tobytes()
    assert labels.tobytes() == LABELS[:9].tobytes()


# The models


@tiers
def test_the_card_names_this_file(tier: str) -> None:
    """The digest and the size in the card are those of the committed model."""
    path = model_path(REPOSITORIES[tier])

    assert f"`{digest_file(path)}`" in card(tier)
    assert f"{path.stat().st_size} bytes" in card(tier)


@tiers
@pytest.mark.parametrize("split", ["calibration", "test"])
def test_the_model_is_as_accurate_as_its_card_says(tier: str, split: str) -> None:
    """Accuracy is what the card states, up to two images that another processor may see otherwise."""
    stated = re.search(rf"accuracy on the {split} split \| ([\d.]+)%", card(tier))
    _, labels = load_split("test" if split == "test" else "calibration")

    accuracy = (answers(tier, split).argmax(axis=1) == labels).mean()

    assert stated is not None
    assert accuracy == pytest.approx(float(stated[1]) / 100, abs=0.00101)


def test_the_pair_is_worth_a_cascade() -> None:
    """Central reaches 98.5 %; the edge model is weaker, but no toy, and at least 5 times cheaper."""
    central, edge = ((answers(tier, "test").argmax(axis=1) == LABELS).mean() for tier in ("central", "edge"))
    ratio = re.search(r"Central costs ([\d.]+) times as much as edge in batches of 1", card("edge"))

    assert central >= 0.985
    assert 0.93 <= edge <= 0.975
    assert ratio is not None
    assert float(ratio[1]) >= 5


def test_both_files_are_small() -> None:
    """Together they stay within 2 MB of the repository."""
    assert sum(model_path(repository).stat().st_size for repository in REPOSITORIES.values()) <= 2_000_000


@tiers
def test_the_signature_is_the_promised_one(tier: str) -> None:
    """Rows of pixels in, probabilities out, any number of rows."""
    assert session(tier).inputs == (TensorSpec("image", "FP32", (-1, 784)),)
    assert session(tier).outputs == (TensorSpec("probabilities", "FP32", (-1, 10)),)
    assert session(tier).batchable


@tiers
def test_answers_are_probabilities(tier: str) -> None:
    """Every row sums to 1 and can be scored by every measure."""
    probabilities = answers(tier, "test")

    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert all(np.isfinite(measure(probabilities)).all() for measure in MEASURES.values())


def test_the_edge_model_is_static_int8() -> None:
    """Its weights are int8, its activations uint8, with scales that are constants."""
    graph = onnx.load(model_path(EDGE_REPOSITORY)).graph
    constants = {tensor.name for tensor in graph.initializer}

    assert "DynamicQuantizeLinear" not in {node.op_type for node in graph.node}
    assert all(n.input[1] in constants for n in graph.node if n.op_type == "QuantizeLinear")


batches = st.lists(st.integers(0, len(ROWS) - 1), min_size=1, max_size=65)


@given(rows=batches)
def test_an_edge_answer_is_the_same_bits_in_any_company(rows: list[int]) -> None:
    """Alone, and at each place of each batch, an image gets the same bits."""
    together = run("edge", ROWS[rows])

    alone = np.concatenate([run("edge", ROWS[row : row + 1]) for row in rows])

    assert together.tobytes() == alone.tobytes()


@given(rows=batches)
def test_a_central_answer_is_the_same_class_in_any_company(rows: list[int]) -> None:
    """In float the last bits may differ with the batch, the class and what is seen of it do not."""
    together = run("central", ROWS[rows])

    alone = np.concatenate([run("central", ROWS[row : row + 1]) for row in rows])

    assert together.argmax(axis=1).tolist() == alone.argmax(axis=1).tolist()
    assert np.abs(together - alone).max() < 1e-5


# The pair together


@pytest.mark.parametrize("score", MEASURES)
def test_a_certificate_of_the_calibration_split_holds_on_the_test_split(score: str) -> None:
    """What was proven on one split is true on the other, and pays: the edge answers most of it."""
    proven = calibration(score)
    edge, central = answers("edge", "test"), answers("central", "test")
    accepted = MEASURES[score](edge) >= proven.threshold

    risk = (accepted & disagreement(edge, central)).mean()
    cascade = np.where(accepted, edge.argmax(axis=1), central.argmax(axis=1))

    assert proven.upper_bound <= proven.alpha == 0.02
    assert risk <= proven.alpha
    assert accepted.mean() >= 0.6
    assert (cascade == LABELS).mean() >= (central.argmax(axis=1) == LABELS).mean() - proven.alpha
