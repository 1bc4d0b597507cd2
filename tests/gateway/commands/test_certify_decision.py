"""What a certificate is to speak for."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from edge_models.decision import Decision, Task
from gateway.commands.certify_decision import TASKS, DecisionOptions, Given, alphabet_of, decide
from gateway.core.tensor import Array

SURE = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
LOGITS = np.array([[2.0, -1.0], [0.5, 3.0]], np.float32)
COLUMN = np.array([[0.9], [0.2]], np.float32)
LABEL = np.array([0, 1])
FRAMES = np.array([[[3.0, -1.0, 0.0], [0.0, 2.0, 1.0]]], np.float32)


def decided(outputs: dict[str, Array], edge: dict[str, Array] | None = None, /, **chosen: Any) -> Decision:
    alphabets = chosen.pop("alphabets", ())
    return decide(Given(outputs if edge is None else edge, outputs, alphabets), DecisionOptions(**chosen))


def rules_of(outputs: dict[str, Array], /, **chosen: Any) -> list[str]:
    return [f"{rule.name}: {rule}" for rule in decided(outputs, **chosen).outputs]


def test_every_task_is_told() -> None:
    """What there is to choose is what a certificate can hold."""
    assert set(TASKS) == set(get_args(Task))


def test_one_output_of_rows_that_sum_to_one_is_certain() -> None:
    """It is the only thing that is."""
    found = decided({"p": SURE})

    assert (found.task, found.score, found.left_out) == ("multiclass", "max_probability", ())
    assert rules_of({"p": SURE}) == ["p: multiclass"]


@pytest.mark.parametrize(
    "outputs",
    [
        {"p": LOGITS},
        {"p": COLUMN},
        {"p": SURE, "q": SURE},
        {"p": SURE, "label": LABEL},
        {"label": LABEL},
        {"p": SURE * np.nan},
        {"text": np.array(["a"], object)},
        {"p": FRAMES},
    ],
    ids="+".join,
)
def test_whatever_else_is_asked(outputs: dict[str, Array]) -> None:
    """With the outputs as they are, and every task there is to choose."""
    with pytest.raises(ValueError, match="not certain from the outputs") as caught:
        decided(outputs)

    message = str(caught.value)
    assert all(f"--task {task} " in message for task in TASKS)
    assert all(f"'{name}'" in message for name in outputs)


def test_a_task_holds_for_all_outputs_but_labels() -> None:
    """Labels beside what they are the labels of are compared as they are."""
    assert rules_of({"label": LABEL, "p": SURE}, task="multiclass") == ["label: exact", "p: multiclass"]
    assert rules_of({"p": SURE, "q": LOGITS}, task="multiclass") == [
        "p: multiclass",
        "q: multiclass, softmax applied",
    ]
    assert decided({"label": LABEL, "p": SURE}, task="multiclass").task == "multiclass"


def test_each_output_may_have_a_task_of_its_own() -> None:
    """Also one whose name has an equals sign."""
    outputs = {"class": SURE, "a=b": COLUMN}
    found = decided(outputs, outputs=("a=b=regression", "class=multiclass"), tolerance=0.5)

    assert [rule.name for rule in found.outputs] == ["class", "a=b"]
    assert (found.task, str(found.outputs[1])) == ("multiclass", "regression, ± 0.5")


@pytest.mark.parametrize(
    ("task", "output", "says"),
    [
        ("binary", COLUMN, "binary, yes from 0.5 on, read as probabilities"),
        ("binary", SURE, "binary, yes from 0.5 on, read as probabilities"),
        ("binary", LOGITS, "binary, yes from 0.5 on, sigmoid applied"),
        ("multilabel", SURE, "multilabel, the set of labels, yes from 0.5 on, read as probabilities"),
        ("embedding", LOGITS, "embedding, cosine at least 0.99"),
        ("sequence", FRAMES, "sequence of 3 symbols, of which number 0 is the blank, softmax applied"),
        ("exact", LABEL, "exact"),
    ],
)
def test_what_each_task_is_taken_for_is_told(task: str, output: Array, says: str) -> None:
    """Probabilities or logits are seen from the numbers."""
    assert rules_of({"o": output}, task=task, cosine=0.99, alphabet=("-", "a", "b"), blank=0) == [
        f"o: {says}"
    ]


@pytest.mark.parametrize(
    ("outputs", "chosen", "says"),
    [
        ({"p": SURE}, {"outputs": ("q",)}, "there is no output 'q': central gives 'p'"),
        ({"p": SURE, "q": SURE}, {"task": "multiclass", "outputs": ("p",)}, "a client can get 'q' as well"),
        ({"p": SURE}, {"left_out": ("p",)}, "nothing to compare"),
        ({"p": np.array(3.0)}, {"task": "exact"}, "without dimensions"),
        ({"p": SURE}, {"task": "sequence"}, "carry no alphabet"),
        ({"p": COLUMN}, {"task": "multiclass"}, "at least 2 classes"),
        ({"label": LABEL}, {"task": "multiclass"}, "no output is numbers, as multiclass needs"),
        ({"p": SURE}, {"task": "multiclass", "score": "distance"}, "choose one of max_probability"),
        ({"p": SURE}, {"task": "multiclass", "score": "spread"}, "--score-output NAME"),
        ({"p": SURE}, {"task": "multiclass", "score_output": "s"}, "the edge model gives no 's'"),
        (
            {"p": SURE, "s": np.float32(1)},
            {"task": "multiclass", "outputs": ("p",), "left_out": ("s",), "score_output": "s"},
            "'s' has no dimensions: it belongs to no row",
        ),
        ({"p": SURE, "q": SURE}, {"outputs": ("p=multiclass", "q")}, "not certain"),
        (
            {"p": FRAMES},
            {"task": "sequence", "alphabet": tuple("abcd"), "blank": 0},
            "has 3 symbols, but the alphabet has",
        ),
        (
            {"p": FRAMES},
            {"task": "sequence", "alphabet": ("a", "b")},
            "--blank 0 is the first, .* 2 the last",
        ),
        ({"p": FRAMES}, {"task": "sequence", "alphabet": ("a", "b"), "blank": 7}, "--blank 7 is no symbol"),
        ({"p": FRAMES}, {"task": "sequence", "alphabet": ("a", "b"), "blank": -1}, "--blank -1 is no symbol"),
    ],
)
def test_what_does_not_fit_is_refused(outputs: dict[str, Array], chosen: dict[str, Any], says: str) -> None:
    """With what to do instead."""
    with pytest.raises(ValueError, match=says):
        decided(outputs, **chosen)


@pytest.mark.parametrize(
    ("edge", "says"),
    [
        ({"q": SURE}, "the edge model gives no 'p', which central does; it gives 'q'"),
        ({"p": COLUMN}, "a client could tell them apart"),
        ({"p": SURE.astype(np.float64)}, "a client could tell them apart"),
        ({"p": LOGITS}, "like probabilities from one model and like logits from the other"),
    ],
)
def test_two_models_that_give_other_kinds_of_answers(edge: dict[str, Array], says: str) -> None:
    """No certificate makes them one."""
    with pytest.raises(ValueError, match=says):
        decided({"p": SURE}, edge, task="multiclass")


def test_an_output_of_the_edge_alone_may_tell_the_spread() -> None:
    """Central has none, so no client can get it certified."""
    found = decided(
        {"o": COLUMN}, {"o": COLUMN, "s": COLUMN}, task="regression", tolerance=1, score_output="s"
    )

    assert (found.score, found.names()) == ("spread", ("o",))


def test_the_alphabet_may_be_the_models_own() -> None:
    """With the blank or without it; two that differ are refused."""
    assert alphabet_of({"character": "a\r\nb\n \n"}) == ("a", "b", " ")
    assert alphabet_of({}) == ()

    with_blank = decided({"o": FRAMES}, task="sequence", alphabets=(("", "a", "b"), ()))
    without = decided({"o": FRAMES}, task="sequence", alphabets=(("a", "b"), ("a", "b")), blank=2)
    assert with_blank.outputs[0].alphabet == ("", "a", "b")
    assert without.outputs[0].alphabet == ("a", "b", "")
    spaceless = decided({"o": FRAMES}, task="sequence", alphabets=(("a",), ()))
    assert spaceless.outputs[0].alphabet == ("", "a", " ")
    with pytest.raises(ValueError, match="different alphabets"):
        decided({"o": FRAMES}, task="sequence", alphabets=(("a", "b"), ("b", "a")))
