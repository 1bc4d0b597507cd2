"""The digits sample: honest splits, and models that are what their cards say."""

from __future__ import annotations

import hashlib
import re
import sys
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_models.certify import Calibration, certify, disagreement
from edge_models.confidence import MEASURES
from edge_models.samples.digits import (
    CENTRAL_REPOSITORY,
    EDGE_REPOSITORY,
    INPUT,
    OUTPUT,
    as_input,
    load_split,
    model_path,
    splits,
)
from edge_models.samples.digits import card as digits_card
from edge_models.samples.digits.card import ModelMeasurement
from edge_models.samples.digits.graph import Graph
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


@pytest.fixture(scope="module")
def source() -> tuple[Array, Array]:
    """Return 10,000 images of noise in the order of their hashes, and labels."""
    noise = np.random.default_rng(11).integers(0, 256, (10_000, 28, 28), np.uint8)
    order = sorted(range(10_000), key=lambda i: hashlib.sha256(noise[i].tobytes()).digest())
    return noise[order], np.arange(10_000, dtype=np.uint8) % 10


@pytest.mark.parametrize("first", [[1, 0], [0, 0]])
def test_a_source_out_of_order_is_refused(
    tmp_path: Path, source: tuple[Array, Array], first: list[int]
) -> None:
    """A split by position is a split by hash only in the order of the hashes, without repetitions."""
    images = source[0].copy()
    images[:2] = images[first]
    np.savez(tmp_path / "source.npz", images=images, labels=source[1])

    with pytest.raises(ValueError, match=r"source\.npz: the images are not ordered by hash"):
        read_source(tmp_path / "source.npz")


def test_another_source_is_refused(tmp_path: Path) -> None:
    """A file of another size would be cut in the wrong places."""
    np.savez(tmp_path / "source.npz", images=IMAGES[:9], labels=LABELS[:9])

    with pytest.raises(ValueError, match=r"source\.npz: has 9 images, not 10000"):
        read_source(tmp_path / "source.npz")


def test_the_splits_are_cut_from_their_places(
    tmp_path: Path, source: tuple[Array, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calibration is 6000 … 7999 of the source and test is the rest, byte for byte."""
    np.savez(tmp_path / "source.npz", images=source[0], labels=source[1])
    monkeypatch.setattr(splits, "FOLDER", tmp_path)
    monkeypatch.setattr(sys, "argv", ["splits", "--data", str(tmp_path / "source.npz")])

    splits.main()

    for name, rows in (("calibration", slice(6000, 8000)), ("test", slice(8000, 10_000))):
        with np.load(tmp_path / f"{name}.npz") as written:
            assert written["images"].tobytes() == source[0][rows].tobytes()
            assert written["labels"].tobytes() == source[1][rows].tobytes()


# The models


@tiers
def test_the_card_names_this_file(tier: str) -> None:
    """The digest and the size in the card are those of the committed model."""
    path = model_path(REPOSITORIES[tier])

    assert f"`sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}`" in card(tier)
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


def test_the_graph_computes_what_its_layers_say(tmp_path: Path) -> None:
    """A convolution, a pool and a dense layer, written as ONNX, equal the same steps in numpy."""
    chance = np.random.default_rng(2)
    kernel, bias = chance.normal(size=(1, 1, 5, 5)), chance.normal(size=1)
    weight, offset = chance.normal(size=(10, 144)), chance.normal(size=10)
    floats = [array.astype(np.float32) for array in (kernel, bias, weight, offset)]
    graph = Graph().as_image().convolution(*floats[:2]).relu().max_pool().flatten().linear(*floats[2:])
    graph.save(tmp_path / "1" / "model.onnx")

    (answer,) = Session(tmp_path / "1" / "model.onnx").run({INPUT: ROWS[:3]})

    windows = np.lib.stride_tricks.sliding_window_view(ROWS[:3].reshape(-1, 28, 28), (5, 5), axis=(1, 2))
    convolved = np.maximum(np.einsum("nyxij,ij->nyx", windows, kernel[0, 0]) + bias, 0)
    pooled = convolved.reshape(-1, 12, 2, 12, 2).max(axis=(2, 4)).reshape(3, 144)
    powers = np.exp(pooled @ weight.T + offset)
    assert answer == pytest.approx(powers / powers.sum(axis=1, keepdims=True), abs=1e-4)


def test_a_card_has_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card holds the digest, the accuracies, both costs and the certificate that was found."""
    for name, repository in (("EDGE_REPOSITORY", "edge"), ("CENTRAL_REPOSITORY", "central")):
        monkeypatch.setattr(digits_card, name, tmp_path / repository)
        (tmp_path / repository / "digits").mkdir(parents=True)
    central = ModelMeasurement("sha256:cc", 20, 0.99, 0.98, 100.0, 30.0)
    edge = ModelMeasurement("sha256:ee", 10, 0.95, 0.94, 10.0, 1.0)

    path = digits_card.write_card("edge", {"edge": edge, "central": central}, calibration(), "2026-01-02")

    text = path.read_text(encoding="utf-8")
    assert path == tmp_path / "edge" / "digits" / "card.md"
    for fact in ("`sha256:ee`", "10 bytes", "94.00% of 2,000", "10.0 µs", "2026-01-02", "10.0 times"):
        assert fact in text
    assert f"threshold {calibration().threshold:.4f}" in text


def test_what_is_measured_is_what_lies_here() -> None:
    """Measuring the edge model gives its digest, its accuracy and a cost."""
    path = model_path(EDGE_REPOSITORY)
    measured = digits_card.measure(path)

    assert measured.digest == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert measured.test_accuracy == (answers("edge", "test").argmax(axis=1) == LABELS).mean()
    assert 0 < measured.batch_of_32_us < measured.batch_of_1_us


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
