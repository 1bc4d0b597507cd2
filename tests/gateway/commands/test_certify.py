"""Certifying a pair of models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from edge_models.certificate import Certificate, sample_digest
from edge_models.samples import digits
from edge_models.session import Session
from gateway.commands.certify import PairMeasurement, certify_models, measure_models
from gateway.commands.certify_decision import DecisionOptions
from gateway.core.tensor import Array
from tests.edge_models import onnx_models as models

EDGE, CENTRAL = map(digits.model_path, (digits.EDGE_REPOSITORY, digits.CENTRAL_REPOSITORY))
CHANCE = np.random.default_rng(11)
ROWS = CHANCE.normal(size=(1000, 4)).astype(np.float32)
WEIGHTS = CHANCE.normal(size=(4, 3)).astype(np.float32)


class Pair:
    """Two models on disk, and what comes of certifying them."""

    def __init__(self, folder: Path, edge: bytes, central: bytes) -> None:
        self.edge, self.central = folder / "edge.onnx", folder / "central.onnx"
        self.edge.write_bytes(edge)
        self.central.write_bytes(central)

    def measure(self, sample: Array | dict[str, Array] = ROWS, **chosen: object) -> PairMeasurement:
        return measure_models("m", self.edge, self.central, sample, chosen=DecisionOptions(**chosen))

    def certify(self, sample: Array | dict[str, Array] = ROWS, **chosen: object) -> Certificate:
        return self.measure(sample, **chosen).certify(alpha=0.02, delta=0.05)


def test_certificate_is_bound_to_what_was_run() -> None:
    """It names both artefacts, the sample and the runtime, and progress is told run by run."""
    sample = digits.as_input(digits.load_split("calibration")[0][:100])
    advances: list[int] = []

    proof = measure_models("digits", EDGE, CENTRAL, sample, advance=advances.append).certify(
        alpha=0.1, delta=0.05
    )

    assert (proof.model, proof.n, proof.alpha) == ("digits", 100, 0.1)
    assert (proof.edge_digest, proof.central_digest) == (Session(EDGE).digest, Session(CENTRAL).digest)
    assert (proof.sample_digest, proof.onnxruntime) == (sample_digest(sample), onnxruntime.__version__)
    assert advances == [64, 36]
    assert (proof.task, proof.decision.names(), proof.left_out) == ("multiclass", ("probabilities",), ())


def test_sample_of_another_shape_is_refused() -> None:
    """The message says what is there and what the model takes."""
    with pytest.raises(ValueError, match=r"the sample is FP32 \[4, 3\].* is FP32 \[-1, 784\]"):
        certify_models("digits", EDGE, CENTRAL, np.zeros((4, 3), np.float32))


# The three pairs that were certified although they must not have been


def test_a_sigmoid_that_decides_otherwise_everywhere(tmp_path: Path) -> None:
    """One column has no likeliest class: the task is asked for, and then the pair proves nothing."""
    pair = Pair(tmp_path, models.sigmoid(-WEIGHTS[:, :1]), models.sigmoid(WEIGHTS[:, :1]))

    with pytest.raises(ValueError, match="not certain from the outputs"):
        pair.measure()
    found = pair.measure(task="binary")

    assert found.wrong.mean() > 0.99
    assert found.certify(alpha=0.02, delta=0.05).coverage == 0
    assert "no number of rows would do" in found.advice(alpha=0.02, delta=0.05)


def test_a_sigmoid_that_decides_alike(tmp_path: Path) -> None:
    """Rightly certified: the same decisions but where both are torn."""
    noise = CHANCE.normal(size=(4, 1)).astype(np.float32) * 0.02
    pair = Pair(tmp_path, models.sigmoid(WEIGHTS[:, :1] + noise), models.sigmoid(WEIGHTS[:, :1]))

    proof = pair.certify(task="binary")

    assert (proof.score, proof.coverage > 0.5) == ("distance", True)


def test_a_second_head_that_is_inverted(tmp_path: Path) -> None:
    """Every output is compared; one that is left out is named, and nobody who gets it is answered certified."""
    pair = Pair(tmp_path, models.heads(WEIGHTS, -WEIGHTS), models.heads(WEIGHTS, WEIGHTS))

    with pytest.raises(ValueError, match="not certain from the outputs"):
        pair.measure()
    with pytest.raises(ValueError, match="a client can get 'second' as well"):
        pair.measure(task="multiclass", outputs=("first",))

    assert pair.certify(task="multiclass").coverage == 0
    first_only = pair.certify(task="multiclass", outputs=("first",), left_out=("second",))
    assert (first_only.coverage > 0.9, first_only.left_out) == (True, ("second",))


def test_logits(tmp_path: Path) -> None:
    """Logits are no probabilities: the softmax is applied, and the certificate says so."""
    noise = CHANCE.normal(size=(4, 3)).astype(np.float32) * 0.02
    pair = Pair(tmp_path, models.linear(WEIGHTS + noise), models.linear(WEIGHTS))

    with pytest.raises(ValueError, match="not certain from the outputs"):
        pair.measure()
    proof = pair.certify(task="multiclass")

    assert (proof.coverage > 0.5, str(proof.outputs[0])) == (True, "multiclass, softmax applied")


# Other tasks, with real models


def test_swapped_classes_prove_nothing(tmp_path: Path) -> None:
    """The same model with two columns in the other's place."""
    pair = Pair(tmp_path, models.softmax_of(WEIGHTS[:, [1, 0, 2]]), models.softmax_of(WEIGHTS))

    assert pair.certify().coverage == 0


def test_a_constant_edge_proves_nothing(tmp_path: Path) -> None:
    """It is equally sure of everything, and wrong more often than not."""
    pair = Pair(tmp_path, models.softmax_of(WEIGHTS * 0), models.softmax_of(WEIGHTS))

    assert pair.certify().coverage == 0


def test_multilabel_by_set_and_by_label(tmp_path: Path) -> None:
    """Of a set, one label that differs is enough; label by label each is bounded by itself."""
    noise = CHANCE.normal(size=(4, 3)).astype(np.float32) * 0.01
    pair = Pair(tmp_path, models.sigmoid(WEIGHTS + noise), models.sigmoid(WEIGHTS))

    whole, apart = pair.certify(task="multilabel"), pair.certify(task="multilabel", per="label")

    assert whole.coverage > 0.5
    assert apart.coverage >= whole.coverage


def test_regression_needs_a_tolerance(tmp_path: Path) -> None:
    """Within it everywhere: certified for all; none given: asked for."""
    pair = Pair(tmp_path, models.linear(WEIGHTS + 0.01), models.linear(WEIGHTS))

    with pytest.raises(ValueError, match="--tolerance"):
        pair.measure(task="regression")

    assert pair.certify(task="regression", tolerance=0.5).coverage == 1
    assert pair.certify(task="regression", tolerance=0.0001).coverage == 0
    assert pair.certify(task="regression", relative_tolerance=1e9).score == "always"


def test_ensemble_tells_its_spread(tmp_path: Path) -> None:
    """Where its members agree the edge answers; the output that tells so is the edge's alone."""
    pair = Pair(tmp_path, models.ensemble(WEIGHTS[:, :1]), models.linear(WEIGHTS[:, :1], name="value"))

    proof = pair.certify(task="regression", tolerance=0.05, score_output="members")

    assert (proof.score, proof.score_output, proof.decision.names()) == ("spread", "members", ("value",))
    assert 0.05 < proof.coverage < 0.95


def test_embedding(tmp_path: Path) -> None:
    """Directions, whatever their length."""
    pair = Pair(tmp_path, models.linear(WEIGHTS * 7), models.linear(WEIGHTS))

    assert pair.certify(task="embedding", cosine=0.999).coverage == 1
    assert (
        Pair(tmp_path, models.linear(-WEIGHTS), models.linear(WEIGHTS))
        .certify(task="embedding", cosine=0.999)
        .coverage
        == 0
    )


def test_texts_are_the_same_bytes(tmp_path: Path) -> None:
    """String inputs come from an array of texts, string outputs are compared as they are."""
    pair = Pair(tmp_path, models.echo_text(), models.echo_text())
    texts = np.array([[f"text {number} ü"] for number in range(200)])

    assert pair.certify(texts, task="exact").coverage == 1


def test_several_inputs_by_their_names(tmp_path: Path) -> None:
    """Each by its name; what is missing is named."""
    pair = Pair(tmp_path, models.two_inputs(), models.two_inputs())
    rows = CHANCE.normal(size=(200, 2)).astype(np.float32)

    assert pair.certify({"left": rows, "right": rows}, task="regression", tolerance=0.1).coverage == 1
    with pytest.raises(ValueError, match="holds 'left', but the model takes 'left', 'right'"):
        pair.measure({"left": rows})
    with pytest.raises(ValueError, match=r"takes 2 inputs: make a \.npz .* left=…, right=…"):
        pair.measure(rows)


def test_integer_inputs(tmp_path: Path) -> None:
    """As the model takes them."""
    pair = Pair(tmp_path, models.lookup(), models.lookup())

    assert pair.certify(CHANCE.integers(0, 4, (200, 1)), task="exact").coverage == 1


def test_free_axes_beside_the_batch(tmp_path: Path) -> None:
    """Another free dimension is as long as the sample has it."""
    pair = Pair(tmp_path, models.echo("length"), models.echo("length"))

    assert pair.certify(ROWS, task="regression", tolerance=0.1).coverage == 1


def test_a_model_of_one_row(tmp_path: Path) -> None:
    """It is run row by row, and each run counts as one."""
    pair = Pair(tmp_path, models.affine(batch=1), models.affine(batch=1))

    proof = pair.certify(np.abs(ROWS[:200]), task="exact")

    assert (proof.n, proof.coverage) == (200, 1.0)


def test_models_of_fixed_batches(tmp_path: Path) -> None:
    """Each run is one request, whose rows are judged together; two that take other numbers have none in common."""
    fixed = models.affine(batch=4)
    rows = np.abs(ROWS[:800])

    proof = Pair(tmp_path, models.affine(), fixed).certify(rows, task="exact")

    assert (proof.n, proof.coverage) == (200, 1.0)
    with pytest.raises(ValueError, match="they take 1 and 4 rows at a time"):
        Pair(tmp_path, models.affine(batch=1), fixed).measure(rows, task="exact")


def test_models_that_give_as_many_rows_as_they_like(tmp_path: Path) -> None:
    """Another number of rows is another answer; none at all is nothing to be sure of."""
    alike = Pair(tmp_path, models.kept(), models.kept()).measure(task="regression", tolerance=0.1)
    every = models.model(
        [models.helper.make_node("Identity", ["image"], ["kept"])],
        [("image", models.FLOAT, ["batch", 4])],
        [("kept", models.FLOAT, ["some", 4])],
    )
    unlike = Pair(tmp_path, every, models.kept()).measure(task="regression", tolerance=0.1)

    assert not alike.wrong.any()
    assert np.nanmean(alike.scores) == 1
    assert np.isnan(alike.scores).mean() == pytest.approx((ROWS[:, 0] <= 0).mean())
    assert unlike.wrong.mean() == pytest.approx((ROWS[:, 0] <= 0).mean())


def test_text_spelled_frame_by_frame(tmp_path: Path) -> None:
    """The alphabet is the models' own or given; two models that spell alike are certified."""
    alphabet = ("", "a", "b")
    frames = CHANCE.normal(size=(300, 5, 3)).astype(np.float32) * 9
    same = Pair(tmp_path, models.spell(alphabet), models.spell(alphabet))

    assert same.certify(frames, task="sequence").outputs[0].alphabet == alphabet
    with pytest.raises(ValueError, match="different alphabets"):
        Pair(tmp_path, models.spell(alphabet), models.spell(("", "b", "a"))).measure(frames, task="sequence")
    with pytest.raises(ValueError, match="carry no alphabet"):
        Pair(tmp_path, models.spell(()), models.spell(())).measure(frames, task="sequence")


def test_models_that_take_other_inputs(tmp_path: Path) -> None:
    """A request could fit only one of them."""
    with pytest.raises(ValueError, match="no request fits both"):
        Pair(tmp_path, models.two_inputs(), models.affine()).measure()


def test_an_output_that_only_central_has(tmp_path: Path) -> None:
    """The edge cannot answer who names no outputs: it is left out in so many words, or nothing is proven."""
    pair = Pair(tmp_path, models.softmax_of(WEIGHTS), models.softmax_labelled(WEIGHTS))

    with pytest.raises(ValueError, match="the edge model gives no 'label'"):
        pair.measure(task="multiclass")

    assert pair.certify(task="multiclass", left_out=("label",)).left_out == ("label",)


def test_labels_beside_the_probabilities_are_compared_as_they_are(tmp_path: Path) -> None:
    """Whole numbers are no probabilities."""
    pair = Pair(tmp_path, models.softmax_labelled(WEIGHTS), models.softmax_labelled(WEIGHTS))

    assert [str(rule) for rule in pair.certify(task="multiclass").outputs] == ["exact", "multiclass"]


def test_a_later_row_that_is_no_probability(tmp_path: Path) -> None:
    """What the first run looked like is checked in all that follow."""
    rows = np.full((200, 4), 0.2, np.float32)
    rows[150] = 3

    with pytest.raises(ValueError, match=r"are they logits\? \(--values says which\)"):
        Pair(tmp_path, models.affine(1.0), models.affine(1.0)).measure(rows, task="multilabel")


def test_rows_that_cannot_be_told_apart(tmp_path: Path) -> None:
    """A file that claims one row per row and gives another number."""
    claiming = models.kept("batch")

    with pytest.raises(ValueError, match="which belongs to which is not known"):
        Pair(tmp_path, claiming, claiming).measure(task="regression", tolerance=1)


def in_company(otherwise: str, batch: str | int = "batch") -> bytes:
    """image [batch, 4] → answer [batch, 3]: of a row among others ``otherwise`` if its first pixel is above 0."""
    nodes = [
        helper.make_node("MatMul", ["image", "weights"], ["logits"]),
        helper.make_node("Neg", ["logits"], ["negative"]),
        helper.make_node("Mul", ["logits", "nan"], ["nothing"]),
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["rows"]),
        helper.make_node("Equal", ["rows", "one"], ["alone"]),
        helper.make_node("Gather", ["image", "zero"], ["pixel"], axis=1),
        helper.make_node("Unsqueeze", ["pixel", "last"], ["column"]),
        helper.make_node("Greater", ["column", "nought"], ["bright"]),
        helper.make_node("Where", ["alone", *alone_and_among(otherwise)], ["spoilt"]),
        helper.make_node("Where", ["bright", "spoilt", "logits"], ["chosen"]),
        helper.make_node("Softmax", ["chosen"], ["answer"], axis=-1),
    ]
    return models.model(
        nodes,
        [("image", models.FLOAT, [batch, 4])],
        [("answer", models.FLOAT, [batch, 3])],
        weights=WEIGHTS * 20,
        nan=np.float32("nan"),
        zero=np.int64(0),
        one=np.int64(1),
        last=np.array([1]),
        nought=np.float32(0),
    )


def alone_and_among(otherwise: str) -> tuple[str, str]:
    return ("negative", "nothing") if otherwise == "NaN" else ("logits", "negative")


def test_not_a_number_in_company_and_sure_alone(tmp_path: Path) -> None:
    """A row that is never sure among others, and sure and wrong alone, is sure and wrong."""
    measured = Pair(tmp_path, in_company("NaN"), models.linear_of(WEIGHTS * 20, "Softmax")).measure(
        task="multiclass"
    )
    bright = ROWS[:, 0] > 0

    assert measured.wrong[bright].any(axis=1).mean() > 0.9
    assert np.isfinite(measured.scores[bright]).all()
    assert not measured.wrong[~bright].any()
    assert measured.certify(alpha=0.02, delta=0.05).coverage == 0


def test_an_edge_that_joins_what_central_does_not(tmp_path: Path) -> None:
    """It is served in company, so it is measured in company as well as request by request."""
    central = models.model(
        [
            helper.make_node("MatMul", ["image", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["answer"], axis=-1),
        ],
        [("image", models.FLOAT, [1, 4])],
        [("answer", models.FLOAT, [1, 3])],
        weights=WEIGHTS * 20,
    )
    measured = Pair(tmp_path, in_company("negative"), central).measure()
    bright = ROWS[:, 0] > 0

    assert measured.inputs[0].shape == (1, 4)
    assert measured.wrong[bright].mean() > 0.9
    assert not measured.wrong[~bright].any()


def test_a_spread_that_belongs_to_no_row(tmp_path: Path) -> None:
    """One for all rows of a run, which the file claims to be one per row."""
    edge = models.model(
        [
            helper.make_node("MatMul", ["image", "weights"], ["value"]),
            helper.make_node("Compress", ["value", "first"], ["members"], axis=0),
        ],
        [("image", models.FLOAT, ["batch", 4])],
        [("value", models.FLOAT, ["batch", 3]), ("members", models.FLOAT, ["batch", 3])],
        weights=WEIGHTS,
        first=np.array([True]),
    )
    pair = Pair(tmp_path, edge, models.linear(WEIGHTS, "value"))

    with pytest.raises(ValueError, match="1 rows of 'members' for 64 rows of the sample"):
        pair.measure(task="regression", tolerance=1, score_output="members")
