"""Area `leaving`: clients that run out of time or leave, and the server that goes on."""

from __future__ import annotations

from typing import Final

from gateway.conformance import messages
from gateway.conformance.check import Area
from gateway.conformance.clauses import HTTP1, STREAMING
from gateway.conformance.http_wire import HttpRequest
from gateway.conformance.server_under_test import JSON, ServerUnderTest
from gateway.conformance.verdicts import Absent, require

AREA = Area("leaving")
TIMES: Final = 20


def _leave(tested: ServerUnderTest, share: float) -> None:
    call = tested.model.call()
    body = call.as_json()
    for _ in range(TIMES):
        tested.abandon_http(HttpRequest("POST", f"{call.path}/infer", JSON, body), int(len(body) * share))
    tested.goes_on()


@AREA.check("http-body", f"{TIMES} HTTP clients that leave inside a body", f"{HTTP1} 9.5, 9.6")
def http_body(tested: ServerUnderTest) -> None:
    """The next one is answered."""
    _leave(tested, 0.5)


@AREA.check("http-answer", f"{TIMES} HTTP clients that do not wait for the answer", f"{HTTP1} 9.5, 9.6")
def http_answer(tested: ServerUnderTest) -> None:
    """The next one is answered."""
    _leave(tested, 1)


@AREA.check("grpc-deadline", f"{TIMES} gRPC calls with a deadline of a millisecond", "gRPC, Deadlines")
def grpc_deadline(tested: ServerUnderTest) -> None:
    """Each ends in time or with DEADLINE_EXCEEDED; the call after them is answered."""
    call, reply = tested.model.call().as_message(), messages.ModelInferResponse
    codes = {tested.call("ModelInfer", call, reply, timeout_s=0.001).code for _ in range(TIMES)}
    require(codes <= {"OK", "DEADLINE_EXCEEDED"}, f"the calls ended with {sorted(codes)}")
    tested.goes_on_grpc()


@AREA.check("grpc-cancel", f"{TIMES} gRPC calls that are cancelled", "gRPC, Cancellation")
def grpc_cancel(tested: ServerUnderTest) -> None:
    """At once, while they run, and when they are about to be answered; the call after them is answered."""
    for number in range(TIMES):
        tested.abandon("ModelInfer", tested.model.call().as_message(), number * 0.0002)
    tested.goes_on_grpc()


@AREA.check("grpc-stream", "a stream that is cancelled after its first answer", STREAMING, optional=True)
def grpc_stream(tested: ServerUnderTest) -> None:
    """The next call is answered."""
    sent = [tested.model.call(seed=seed).as_message() for seed in range(TIMES)]
    answer = tested.stream("ModelStreamInfer", sent, messages.ModelStreamInferResponse, stop_after=1)
    if answer.code == "UNIMPLEMENTED":
        raise Absent("answered with UNIMPLEMENTED")
    require(answer.messages, f"ended with {answer.code}: {answer.details[:200]}")
    tested.goes_on_grpc()


@AREA.check("afterwards", "after all this the server is ready and answers", f"{HTTP1} 9")
def afterwards(tested: ServerUnderTest) -> None:
    """Health and inference."""
    for _ in range(3):
        status = tested.get("/v2/health/ready").status
        require(status == 200, f"/v2/health/ready is answered with {status}")
        tested.goes_on()
