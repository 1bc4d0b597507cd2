"""Judgements that many checks share."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.conformance import expect
from gateway.conformance.grpc_wire import GrpcAnswer
from gateway.conformance.http_wire import HttpAnswer
from gateway.conformance.verdicts import Absent, NotApplicable, Violation


def answer(status: int, body: bytes = b"{}") -> HttpAnswer:
    return HttpAnswer(status, (), body)


@pytest.mark.parametrize(
    ("status", "raised"),
    [(403, NotApplicable), (404, Absent), (405, Absent), (501, Absent), (500, Violation)],
)
def test_optional_part_over_http(status: int, raised: type[Exception]) -> None:
    with pytest.raises(raised, match=str(status)):
        expect.offered(answer(status))

    assert expect.offered(answer(200)).status == 200


@pytest.mark.parametrize(
    ("code", "raised"),
    [("UNAUTHENTICATED", NotApplicable), ("UNIMPLEMENTED", Absent), ("INTERNAL", Violation)],
)
def test_optional_part_over_grpc(code: str, raised: type[Exception]) -> None:
    with pytest.raises(raised, match=code):
        expect.offered_grpc(GrpcAnswer(code))

    assert expect.offered_grpc(GrpcAnswer("OK", "", ("message",))) == "message"


def test_refusals_blame_the_client() -> None:
    expect.refused(answer(404))
    expect.refused(answer(413), (413, 431))
    expect.refused_grpc(GrpcAnswer("NOT_FOUND", "no such model"), ("NOT_FOUND",))

    with pytest.raises(Violation, match="status 500, not 4xx"):
        expect.refused(answer(500))
    with pytest.raises(Violation, match="status 400, not 413 or 431"):
        expect.refused(answer(400), (431, 413))
    with pytest.raises(Violation, match="ended with OK, not INTERNAL or UNKNOWN"):
        expect.refused_grpc(GrpcAnswer("OK"), ("UNKNOWN", "INTERNAL"))
    with pytest.raises(Violation, match="no text"):
        expect.refused_grpc(GrpcAnswer("NOT_FOUND"), ("NOT_FOUND",))


def test_error_object_has_a_text() -> None:
    expect.error_object(answer(400, b'{"error": "why"}'))

    for body in (b"{}", b'{"error": ""}', b'{"error": 7}', b"[]", b"why"):
        with pytest.raises(Violation):
            expect.error_object(answer(400, body))


@pytest.mark.parametrize("value", [None, True, -1, 1.0, "1"])
def test_whole_numbers(value: Any) -> None:
    assert expect.whole({"n": 0}, "n") == 0
    with pytest.raises(Violation):
        expect.whole({"n": value}, "n")


def test_texts_and_lists_of_texts() -> None:
    assert (expect.text({"a": "b"}, "a"), expect.strings(["a"], "names")) == ("b", ["a"])
    with pytest.raises(Violation, match="'a' is missing"):
        expect.text({}, "a")
    with pytest.raises(Violation, match="names is no list of strings"):
        expect.strings(["a", 7], "names")


TENSOR: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [-1, 3]}


@pytest.mark.parametrize(
    "listed",
    [
        None,
        [],
        [7],
        [{**TENSOR, "datatype": "FP31"}],
        [{**TENSOR, "shape": [-2]}],
        [{**TENSOR, "shape": [True]}],
        [{**TENSOR, "shape": "[]"}],
        [{"datatype": "FP32", "shape": []}],
    ],
    ids=str,
)
def test_metadata_of_tensors(listed: Any) -> None:
    expect.tensor_metadata([TENSOR], "inputs")
    with pytest.raises(Violation):
        expect.tensor_metadata(listed, "inputs")
