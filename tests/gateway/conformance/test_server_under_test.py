"""The server as a check sees it: requests, answers, and the record of both."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gateway.conformance.call import Call
from gateway.conformance.http_wire import HttpAnswer, HttpRequest, HttpWire, ServerAddress, WireError
from gateway.conformance.server_under_test import (
    ServerUnderTest,
    printable,
    reply_of,
    show_http,
    show_request,
)
from gateway.conformance.subject import DeclaredTensor, Subject
from gateway.conformance.tensors import SuiteTensor
from gateway.conformance.verdicts import NotApplicable, Violation

OUTPUT = {"name": "y", "datatype": "FP32", "shape": [1], "data": [0.5]}
ANSWER = HttpAnswer(200, (("a", "b"),), json.dumps({"model_name": "m", "outputs": [OUTPUT]}).encode())


class FixedWire(HttpWire):
    """Answers everything alike, or not at all; keeps the requests."""

    def __init__(self, answer: HttpAnswer | None = ANSWER) -> None:
        super().__init__(ServerAddress("nowhere", 1))
        self.answer = answer
        self.requests: list[HttpRequest] = []

    def in_turn(self, *requests: HttpRequest) -> list[HttpAnswer]:
        self.requests += requests
        if self.answer is None:
            raise WireError("cannot connect")
        return [self.answer for _ in requests]

    def abandon(self, request: HttpRequest, size: int) -> None:
        self.in_turn(request)


def subject(name: str, *datatypes: str) -> Subject:
    inputs = tuple(DeclaredTensor(f"x{at}", datatype, (-1, 2)) for at, datatype in enumerate(datatypes))
    return Subject(name, ("1",), inputs, inputs)


def under_test(wire: HttpWire | None = None, *identities: Subject) -> ServerUnderTest:
    return ServerUnderTest(wire or FixedWire(), None, subject("m", "FP32"), identities=identities)


def test_the_last_exchanges_are_kept_and_shortened() -> None:
    tested = under_test()
    for number in range(20):
        tested.get(f"/{number}")
    tested.post("/long", b"x" * 10_000)

    assert [exchange.sent for exchange in tested.exchanges[:2]] == ["GET /9", "GET /10"]
    assert tested.exchanges[-1].sent.endswith("characters)")
    assert tested.exchanges[-1].got.startswith("200\na: b\n\n{")

    tested.start()
    assert tested.exchanges == []


def test_no_answer_is_a_violation_that_is_recorded() -> None:
    tested = under_test(FixedWire(None))

    for attempt in (
        lambda: tested.get("/v2"),
        lambda: tested.abandon_http(HttpRequest("POST", "/v2"), 1),
        tested.goes_on,
    ):
        tested.start()
        with pytest.raises(Violation, match="cannot connect"):
            attempt()
        assert [exchange.is_unanswered for exchange in tested.exchanges] == [True]


def test_inference_goes_as_json_or_binary_where_json_cannot_hold_it() -> None:
    wire = FixedWire()
    half = SuiteTensor("x", "FP16", (1,), np.zeros(1, np.float16))
    tested = under_test(wire)
    tested.infer(tested.model.call())
    tested.infer(Call("m", (half,), raw_only=("x",)))

    kinds = [dict(request.headers)["Content-Type"] for request in wire.requests]
    assert kinds == ["application/json", "application/octet-stream"]


def test_what_the_run_was_not_given_is_not_applicable() -> None:
    with pytest.raises(NotApplicable, match="no gRPC address"):
        _ = under_test().grpc
    with pytest.raises(NotApplicable, match="no identity model was given"):
        under_test().identity("FP32")
    with pytest.raises(NotApplicable, match="no identity model has such an input"):
        under_test(None, subject("echo", "FP32")).identity("BYTES")


def test_identity_model_is_chosen_by_datatype() -> None:
    tested = under_test(None, subject("all", "FP32", "FP16"), subject("plain", "FP32"))

    assert tested.identity("FP32").name == "all"
    assert tested.identity("FP32", without=["FP16"]).name == "plain"


def test_what_must_work_first_is_judged_elsewhere() -> None:
    with pytest.raises(NotApplicable, match="JSON does not work"), under_test().given("JSON"):
        raise Violation("broken")


def test_replies_must_be_successes() -> None:
    assert reply_of(ANSWER).by_name["y"].values.tolist() == [0.5]
    with pytest.raises(Violation, match="status 500, not 200: why"):
        reply_of(HttpAnswer(500, (), b"why"))


def test_nothing_of_a_server_reaches_the_terminal_raw() -> None:
    assert printable(b"a\n\x1b[31m\xff") == "a\n\\x1b[31m\\xff"
    assert "\x1b" not in show_http(HttpAnswer(200, (), b"\x1b[31m"))
    assert show_request(HttpRequest("PUT", "/", (("a", "b"),), (b"1", b"2"))) == "PUT /\na: b\n\n12"
