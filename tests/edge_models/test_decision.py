"""Several outputs as one decision."""

from __future__ import annotations

import math
from typing import Any, get_args

import msgspec
import numpy as np
import pytest

from edge_models.decision import Decision, Output, Task, scores_of
from edge_models.tasks.classification import Binary, Multiclass, Multilabel
from edge_models.tasks.plain import Exact, Regression

CLASSES = Multiclass(name="class", values="probabilities")
SIZE = Regression(name="size", absolute=0.5)
LABEL = Exact(name="label")


def made(*rules: Output, score: str = "max_probability", score_output: str = "", **changes: Any) -> Decision:
    fields = {"task": "multiclass", "left_out": (), **changes}
    return Decision(outputs=rules, score=score, score_output=score_output, **fields)


OUTPUTS = {
    "class": np.array([[0.9, 0.1], [0.6, 0.4]]),
    "size": np.array([[1.0], [math.nan]]),
    "label": np.array(["a", "b"], object),
    "spread": np.array([[0.5], [-1.0]]),
    "members": np.array([[1.0, 2.0], [1.0, math.nan]]),
}


def test_any_output_that_differs_makes_another_answer() -> None:
    """Whichever it is."""
    central = {**OUTPUTS, "label": np.array(["a", "c"], object), "size": np.array([[9.0], [9.0]])}

    assert made(CLASSES, LABEL).differs(OUTPUTS, central).tolist() == [[False], [True]]
    assert made(CLASSES, SIZE).differs(OUTPUTS, central).tolist() == [[True], [True]]


def test_labels_by_themselves_stand_beside_the_rest() -> None:
    """Each is a part of its own, and all else one more."""
    each = Multilabel(name="class", values="probabilities", threshold=0.5, per="label")
    central = {**OUTPUTS, "class": np.array([[0.1, 0.1], [0.6, 0.9]])}

    assert made(each, LABEL, task="multilabel").differs(OUTPUTS, central).tolist() == [
        [True, False, False],
        [False, True, False],
    ]


def test_an_answer_of_another_number_of_rows_is_another() -> None:
    """Whatever they hold; as one, outputs of several numbers of rows are compared each by itself."""
    each = Multilabel(name="class", values="probabilities", threshold=0.5, per="label")
    fewer = {**OUTPUTS, "class": OUTPUTS["class"][:1]}
    ragged = {**OUTPUTS, "label": OUTPUTS["label"][:1]}

    assert made(CLASSES).differs(fewer, OUTPUTS, as_one=True).tolist() == [[True]]
    assert made(each, task="multilabel").differs(fewer, OUTPUTS, as_one=True).tolist() == [[True, True]]
    assert made(CLASSES, LABEL).differs(ragged, ragged, as_one=True).tolist() == [[False]]
    assert made(CLASSES, LABEL).differs(ragged, OUTPUTS, as_one=True).tolist() == [[True]]


def test_it_is_as_sure_as_its_least_sure_output() -> None:
    """An output without a score must be finite; text has nothing to say."""
    first = {name: output[:1] for name, output in OUTPUTS.items()}

    assert made(CLASSES, SIZE, LABEL).is_sure(first, 0.9)
    assert not made(CLASSES, SIZE, LABEL).is_sure(first, 0.91)
    assert made(CLASSES, LABEL).is_sure(OUTPUTS, 0.6)
    assert not made(CLASSES, SIZE).is_sure(OUTPUTS, 0.1)


def test_no_row_at_all_is_not_sure() -> None:
    """All of nothing would be."""
    assert not made(CLASSES).is_sure({"class": np.empty((0, 2))}, 0.0)


def test_spread_of_an_ensemble() -> None:
    """Told, or the members' standard deviation; a tolerance of it scores one half; nonsense is NaN."""
    by_spread = made(SIZE, task="regression", score="spread", score_output="spread")
    members = made(SIZE, task="regression", score="spread", score_output="members")
    plain = made(CLASSES, score="spread", score_output="members")

    assert by_spread.confidences(OUTPUTS)[1][0] == 0.5
    assert members.confidences(OUTPUTS)[1][0] == 0.5
    assert plain.confidences(OUTPUTS)[1][0] == pytest.approx(2 / 3)
    assert np.isnan([by_spread.confidences(OUTPUTS)[1][1], members.confidences(OUTPUTS)[1][1]]).all()
    assert np.isnan(by_spread.confidences({**OUTPUTS, "spread": np.empty((2, 0))})[1]).all()
    assert by_spread.read() == {"size", "spread"}


def test_no_spread_is_sure_and_a_negative_one_is_nonsense() -> None:
    """Members that agree score 1; what no spread can be is never sure, not even a little below zero."""
    decision = made(SIZE, task="regression", score="spread", score_output="spread")
    outputs = {"size": np.zeros((4, 1)), "spread": np.array([0.0, -0.0, -1e-9, math.inf])}

    scores = decision.confidences(outputs)[1].tolist()

    assert scores[:2] == [1.0, 1.0]
    assert math.isnan(scores[2])
    assert scores[3] == 0.0


@pytest.mark.parametrize(
    ("decision", "field"),
    [
        (made(CLASSES), ""),
        (made(CLASSES, CLASSES), "outputs"),
        (made(CLASSES, left_out=("class",)), "outputs"),
        (made(CLASSES, task="binary"), "task"),
        (made(LABEL, CLASSES), ""),
        (made(CLASSES, score="distance"), "score"),
        (made(CLASSES, score="softness"), "score"),
        (made(CLASSES, score="spread"), "score_output"),
        (made(CLASSES, score_output="spread"), "score_output"),
    ],
)
def test_fields_that_make_no_sense_together(decision: Decision, field: str) -> None:
    """The field is named."""
    assert decision.problem() == field


def test_scores_by_outputs() -> None:
    """The usual one first; the two that any output has, last."""
    binary = Binary(name="b", values="logits", threshold=0.5)

    assert scores_of([binary]) == ("distance", "max_probability", "margin", "entropy", "always", "spread")
    assert scores_of([LABEL]) == ("always", "spread")


def test_it_survives_its_file() -> None:
    """Each output says its task; one that nobody knows, or that lacks a term, is refused by name."""
    written = msgspec.json.encode(made(CLASSES, SIZE, LABEL))

    assert msgspec.json.decode(written, type=Decision) == made(CLASSES, SIZE, LABEL)
    with pytest.raises(msgspec.ValidationError, match="Invalid value 'guess'"):
        msgspec.json.decode(written.replace(b'"exact"', b'"guess"'), type=Decision)
    with pytest.raises(msgspec.ValidationError, match="missing required field `values`"):
        msgspec.json.decode(written.replace(b',"values":"probabilities"', b""), type=Decision)


def test_every_task_is_named() -> None:
    """What the command lists is what a certificate can hold."""
    tags = {rule.__struct_config__.tag for rule in Output.__args__}

    assert tags == set(get_args(Task))
