"""Wrong requests: each differs from the right one in one thing."""

from __future__ import annotations

import math

import pytest

from gateway.conformance.faults import FAULTY, FaultyCall
from gateway.conformance.subject import DeclaredTensor, Subject
from gateway.conformance.verdicts import NotApplicable

SUBJECT = Subject(
    "m", ("1",), (DeclaredTensor("x", "FP32", (-1, 3)),), (DeclaredTensor("y", "FP32", (-1, 2)),)
)
FREE = Subject("m", ("1",), (DeclaredTensor("x", "FP32", (-1, -1)),), ())
CALLS = {faulty.id: faulty.make(SUBJECT) for faulty in FAULTY}


@pytest.mark.parametrize("faulty", FAULTY, ids=lambda faulty: faulty.id)
def test_each_is_another_request_than_the_right_one(faulty: FaultyCall) -> None:
    right = SUBJECT.call()

    wrong = faulty.make(SUBJECT)

    assert (wrong.path, wrong.as_object()) != (right.path, right.as_object())
    assert faulty.codes


def test_shapes_and_elements_contradict_each_other_only_where_that_is_the_fault() -> None:
    contradictory = {
        name
        for name, call in CALLS.items()
        if any(math.prod(tensor.shape) != tensor.values.size for tensor in call.tensors)
    }

    assert contradictory == {
        "too-few-elements",
        "too-many-elements",
        "negative-dimension",
        "overflowing-shape",
    }


def test_overflow_and_negative_sizes() -> None:
    """What a server with 64-bit arithmetic takes for 0 elements, and for as many as there are."""
    assert math.prod(CALLS["overflowing-shape"].tensors[0].shape) % (1 << 64) == 0
    negative = CALLS["negative-dimensions"].tensors[0]
    assert math.prod(negative.shape) == negative.values.size
    assert all(size < 0 for size in negative.shape)


def test_a_model_without_a_fixed_dimension_has_no_wrong_one() -> None:
    (scaled,) = (faulty for faulty in FAULTY if faulty.id == "wrong-shape")

    with pytest.raises(NotApplicable, match="no fixed dimension"):
        scaled.make(FREE)
