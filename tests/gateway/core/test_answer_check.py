"""What is believed of an answer, and what is not."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from gateway.core.answer_check import fitted, flaw, has_rows, is_finite, misfit
from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.classes import CLASSIFICATION, classified
from gateway.core.request import Provenance, Response
from gateway.core.tensor import Tensor
from tests.fakes.service import answer, request

SPEC = ModelSpec("digits", ("1",), "", (), (TensorSpec("probabilities", "FP32", (-1, 3)),))
LABEL = Tensor.from_numpy("label", np.zeros(1, np.int64))


def out(name: str = "probabilities", array: np.ndarray | None = None) -> Response:
    tensor = Tensor.from_numpy(name, np.zeros((1, 3), np.float32) if array is None else array)
    return replace(answer(), outputs=(tensor,))


def forged() -> Response:
    """Numbers of another shape that pass themselves off as classes."""
    tensor = replace(out().outputs[0], shape=(3,), parameters={CLASSIFICATION: 1})
    return replace(answer(), outputs=(tensor,))


MADE = replace(answer(), outputs=(classified(out(array=np.array([[b"0.5:1:dog"]], object)).outputs[0], 1),))


@pytest.mark.parametrize(
    ("response", "changes", "says"),
    [
        (answer(), {}, ""),
        (replace(answer(), model="umbrella"), {}, "of model 'umbrella'"),
        (replace(answer(), model=""), {}, ""),
        (answer(), {"version": "1"}, ""),
        (answer(), {"version": "2"}, "of version '1'"),
        (replace(answer(), version=""), {"version": "2"}, ""),
        (answer(), {"outputs": ("probabilities",)}, ""),
        (answer(), {"outputs": ("label",)}, "'label' is missing"),
        (replace(answer(), outputs=()), {"outputs": ("label",)}, "'label' is missing"),
        (MADE, {"classes": {"probabilities": 1}}, ""),
        (MADE, {"classes": {"label": 1}}, "'probabilities' is classified"),
        (MADE, {"classes": {"probabilities": 0}}, "'probabilities' is classified"),
        (MADE, {}, "'probabilities' is classified"),
    ],
)
def test_an_answer_to_something_else_does_not_fit(response: Response, changes, says: str) -> None:
    """Model and version, where both sides name them, and every output that was wanted."""
    found = misfit(response, request(**changes))
    assert (says in found, bool(found)) == (True, bool(says))


@pytest.mark.parametrize(
    ("response", "selected", "says"),
    [
        (out(), False, ""),
        (out(array=np.zeros((7, 3), np.float32)), False, ""),
        (out("../../etc"), False, "no output '../../etc'"),
        (out(array=np.zeros((1, 3))), False, "is FP64, not FP32"),
        (out(array=np.zeros((1, 4), np.float32)), False, "another shape"),
        (out(array=np.zeros(3, np.float32)), False, "another shape"),
        (out(array=np.zeros((1, 3, 1), np.float32)), False, "another shape"),
        (replace(answer(), outputs=(*answer().outputs, LABEL)), False, "no output 'label'"),
        (replace(answer(), outputs=()), False, "'probabilities' is missing"),
        (replace(answer(), outputs=()), True, ""),
        (MADE, True, ""),
        (out(array=np.array([[b"0.5:1"]], object)), True, "is BYTES, not FP32"),
        (forged(), True, "holds no classes"),
        (replace(answer(), version="1\r\nX: y"), False, "version"),
        (replace(answer(), version="1" * 257), False, "version"),
    ],
)
def test_what_contradicts_the_signature_is_a_flaw(response: Response, selected: bool, says: str) -> None:
    """Names, datatypes, shapes, and outputs that are missing where none were chosen."""
    found = flaw(response, SPEC, selected=selected)
    assert (says in found, bool(found)) == (True, bool(says))


@pytest.mark.parametrize("spec", [None, ModelSpec("digits", (), "", (), ())])
def test_without_a_signature_nothing_contradicts_it(spec: ModelSpec | None) -> None:
    """Many servers declare no outputs."""
    assert flaw(out("anything"), spec, selected=False) == ""


def test_outputs_come_in_the_order_in_which_they_were_wanted() -> None:
    """A server that gives all of them, in its own order, is put right."""
    given = replace(answer(), model="", outputs=(*answer().outputs, LABEL))

    assert [output.name for output in fitted(given, request(outputs=("label",))).outputs] == ["label"]
    both = fitted(given, request(outputs=("label", "probabilities")))
    assert (both.model, [output.name for output in both.outputs]) == ("digits", ["label", "probabilities"])
    assert fitted(answer(), request()) is not None
    assert fitted(given, request()).model == "digits"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none(bad: float) -> None:
    """Text and whole numbers are always finite."""
    text = Tensor.from_numpy("text", np.array([b"nan"], object))
    assert is_finite((LABEL, text, *answer().outputs, Tensor("b", "BF16", (1,), b"\xff\xff")))
    assert not is_finite((LABEL, Tensor.from_numpy("y", np.array([0, bad], np.float16))))


def test_rows() -> None:
    """Of outputs that have the batch first."""
    response = Response("digits", "1", (*answer().outputs, LABEL), Provenance("central"))
    two = Tensor.from_numpy("image", np.zeros((2, 4), np.float32))

    assert has_rows(response, request(), SPEC)
    assert not has_rows(response, request(inputs=(two,)), SPEC)
    assert not has_rows(response, request(inputs=(two, *request().inputs)), SPEC)
