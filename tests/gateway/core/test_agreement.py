"""Whether two answers say the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from msgspec.structs import replace

from gateway.core import agreement
from gateway.core.agreement import Difference, Tolerance, difference
from gateway.core.classes import classified
from gateway.core.errors import GatewayError
from gateway.core.request import Provenance, Response
from gateway.core.tensor import BYTES, DATATYPES, Tensor

EXACT = Tolerance()
NEAR = Tolerance(rtol=0.01, atol=1e-6)


def response(*outputs: Tensor) -> Response:
    return Response("m", "1", outputs, Provenance("central"))


def tensor(*values: Any, dtype: Any = np.float32, name: str = "y") -> Tensor:
    return Tensor.from_numpy(name, np.array(values, dtype))


def bf16(*values: float) -> Tensor:
    upper = (np.array(values, "<f4").view("<u4") >> 16).astype("<u2")
    return Tensor("y", "BF16", (len(values),), upper.tobytes())


def compared(first: Tensor, second: Tensor, tolerance: Tolerance = EXACT) -> Difference | None:
    return difference(response(first), response(second), tolerance)


@pytest.mark.parametrize("datatype", sorted({*DATATYPES} - {"BOOL"}))
def test_each_datatype_is_read(datatype: str) -> None:
    """Equal values agree; of three numbers one that is another is found."""
    dtype = DATATYPES[datatype]

    assert compared(tensor(1, 2, 3, dtype=dtype), tensor(1, 2, 3, dtype=dtype)) is None
    assert compared(tensor(1, 2, 3, dtype=dtype), tensor(1, 9, 3, dtype=dtype)) == Difference(
        "y", "values", 1, 3
    )


@pytest.mark.parametrize(
    ("first", "second", "different"),
    [
        (tensor(True, False, dtype=np.bool_), tensor(True, True, dtype=np.bool_), 1),
        (tensor(b"a", b"bc", dtype=object), tensor(b"a", b"bd", dtype=object), 1),
        (tensor(b"ab", b"c", dtype=object), tensor(b"a", b"bc", dtype=object), 2),
        (tensor(2**63, 2**63, dtype=np.uint64), tensor(2**63, 2**63 + 1, dtype=np.uint64), 1),
        (bf16(1, 2), bf16(1, 3), 1),
    ],
    ids=["bool", "text", "one border between texts moved", "past what a double holds", "bf16"],
)
def test_values_that_are_exact(first: Tensor, second: Tensor, different: int) -> None:
    """Whatever the tolerance is, texts and whole numbers are equal or not."""
    found = compared(first, second, NEAR)

    assert found is not None
    assert found.different == different


@pytest.mark.parametrize(
    ("first", "second", "agrees"),
    [
        (100.0, 100.9, True),
        (100.0, 101.1, False),
        (101.1, 100.0, False),
        (0.0, 5e-7, True),
        (0.0, 2e-6, False),
        (np.nan, np.nan, True),
        (np.nan, 1.0, False),
        (np.inf, np.inf, True),
        (np.inf, -np.inf, False),
        (np.inf, 1.0, False),
        (3.4e38, -3.4e38, False),
    ],
)
def test_numbers_with_a_fraction_may_differ_a_little(first: float, second: float, agrees: bool) -> None:
    """By atol and a part of the first; what is not finite is equal or not."""
    assert (compared(tensor(first), tensor(second), NEAR) is None) is agrees


@pytest.mark.parametrize(("second", "agrees"), [(1.0, True), (1.0078125, True), (1.5, False), (-1.0, False)])
def test_brain_floats_are_numbers_with_a_fraction(second: float, agrees: bool) -> None:
    """numpy has no dtype for them; 1.0078125 is the next after 1."""
    assert (compared(bf16(1.0), bf16(second), NEAR) is None) is agrees


def test_the_largest_of_half_precision_are_compared_in_double() -> None:
    """Half precision would make infinities of what the tolerance is taken of."""
    assert compared(tensor(65504, dtype=np.float16), tensor(65472, dtype=np.float16), NEAR) is None
    assert compared(tensor(65504, dtype=np.float16), tensor(-65504, dtype=np.float16), NEAR) is not None


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ((tensor(1),), (tensor(1), tensor(1, name="z")), "outputs"),
        ((tensor(1), tensor(1, name="z")), (tensor(1),), "outputs"),
        ((tensor(1),), (tensor(1, name="other"),), "outputs"),
        ((tensor(1),), (tensor(1, dtype=np.float64),), "datatype"),
        ((tensor(1, 2),), (tensor([1, 2]),), "shape"),
        ((tensor(1, 2),), (tensor(1, 2, 3),), "shape"),
    ],
)
def test_answers_of_another_form_differ(first: Any, second: Any, kind: str) -> None:
    """An output more or less, of another datatype or shape."""
    found = difference(response(*first), response(*second), NEAR)

    assert found is not None
    assert found.kind == kind


def test_outputs_may_come_in_any_order_and_be_ignored() -> None:
    """They are told apart by their names; what is ignored may even be missing."""
    one, two, third = tensor(1), tensor(2, name="z"), tensor(3, name="noise")
    tolerance = Tolerance(ignore={"noise"})

    assert difference(response(one, two), response(two, one), EXACT) is None
    assert difference(response(one, third), response(replace(third, data=b"____"), one), tolerance) is None
    assert difference(response(one, third), response(one), tolerance) is None
    assert difference(response(one), response(third, one), tolerance) is None
    assert difference(response(one), response(third, one), EXACT) is not None


@pytest.mark.parametrize("chunk", [1, 5, 1 << 16])
def test_the_highest_of_each_row_counts_alone(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """However far the values are apart, and in however many parts they are looked at."""
    monkeypatch.setattr(agreement, "_CHUNK", chunk)
    top1 = Tolerance(top1={"y"})
    first = tensor([0.1, 0.9], [0.8, 0.2], [0.6, 0.4])

    assert compared(first, tensor([0.4, 0.5], [9, 1], [7, -1]), top1) is None
    assert compared(first, tensor([0.6, 0.5], [9, 1], [1, 7]), top1) == Difference("y", "top1", 2, 3)


def test_what_has_no_rows_is_compared_as_it_is() -> None:
    """A scalar and an output without elements have no highest one."""
    top1 = Tolerance(top1={"y"})
    scalar = [Tensor.from_numpy("y", np.array(value, np.float32)) for value in (1, 2)]
    empty = Tensor.from_numpy("y", np.zeros((3, 0), np.float32))

    assert compared(scalar[0], scalar[1], top1) == Difference("y", "values", 1, 1)
    assert compared(empty, empty, top1) is None


@pytest.mark.parametrize("chunk", [1, 7, 1 << 16])
def test_what_is_long_is_compared_in_parts(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """Every part counts, the last one as well."""
    monkeypatch.setattr(agreement, "_CHUNK", chunk)
    first, second = np.zeros(100, np.float32), np.zeros(100, np.float32)
    second[[0, 50, 99]] = 1

    found = compared(Tensor.from_numpy("y", first), Tensor.from_numpy("y", second))

    assert found == Difference("y", "values", 3, 100)


def test_texts_have_no_highest_one() -> None:
    """They are compared as texts, whatever the policy hopes for."""
    first, second = tensor(["a", "b"], dtype=object), tensor(["a", "c"], dtype=object)

    assert compared(first, second, Tolerance(top1={"y"})) == Difference("y", "values", 1, 2)


def test_of_classes_the_values_are_not_compared() -> None:
    """``value:index:label``: two models may write one value differently, and mean the same class."""
    first, same, other = (
        classified(tensor(*texts, dtype=object), 2)
        for texts in (("0.9:1:cat", "0.1:0:a:b"), ("0.87:1:cat", "0.13:0:a:b"), ("0.9:1:cat", "0.1:2:dog"))
    )

    assert compared(first, same) is None
    assert compared(first, other) == Difference("y", "values", 1, 2)


def test_texts_that_end_in_the_middle_are_an_error() -> None:
    """No codec lets them through; they are neither equal nor not."""
    cut = Tensor("y", BYTES, (1,), b"\x05\0\0\0ab")

    with pytest.raises(GatewayError):
        compared(cut, cut)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Difference("y", "outputs"), "output 'y' is in one answer alone"),
        (Difference("y", "shape"), "output 'y' has another shape"),
        (Difference("y", "values", 3, 10), "output 'y' differs in 3 of 10 values"),
        (Difference("y", "top1", 1, 2), "output 'y' has another highest element in 1 of 2 rows"),
        (Difference("a\nb" * 50, "datatype"), "another datatype"),
    ],
)
def test_it_says_no_value(found: Difference, text: str) -> None:
    """The log gets names and numbers, in one short line."""
    assert text in str(found)
    assert str(found).isprintable()
    assert len(str(found)) < 120


@given(
    arrays.arrays(
        st.sampled_from(("<f4", "<f8", "<i8", "?")), st.tuples(st.integers(0, 4), st.integers(0, 4))
    )
)
def test_every_answer_agrees_with_itself(values: np.ndarray) -> None:
    """Whatever it holds: NaN, infinities, nothing."""
    one = Tensor.from_numpy("y", values)

    assert compared(one, one) is None
    assert compared(one, one, Tolerance(top1={"y"})) is None
