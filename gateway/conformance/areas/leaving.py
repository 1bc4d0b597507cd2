"""Area `leaving`: clients that run out of time or leave, and the server that goes on."""

from __future__ import annotations

from typing import Final

from gateway.conformance import messages
from gateway.conformance.check import Absent, Area, require
from gateway.conformance.clauses import HTTP1, STREAMING
from gateway.conformance.http_wire import HttpRequest
from gateway.conformance.peer import JSON, Peer

AREA = Area("leaving")
TIMES: Final = 20


def _leave(peer: Peer, share: float) -> None:
    call = peer.model.call()
    body = call.as_json()
    for _ in range(TIMES):
        peer.abandon_http(HttpRequest("POST", f"{call.path}/infer", JSON, body), int(len(body) * share))
    peer.goes_on()


@AREA.check("http-body", f"{TIMES} HTTP clients that leave inside a body", f"{HTTP1} 9.5, 9.6")
def http_body(peer: Peer) -> None:
    """The next one is answered."""
    _leave(peer, 0.5)


@AREA.check("http-answer", f"{TIMES} HTTP clients that do not wait for the answer", f"{HTTP1} 9.5, 9.6")
def http_answer(peer: Peer) -> None:
    """The next one is answered."""
    _leave(peer, 1)


@AREA.check("grpc-deadline", f"{TIMES} gRPC calls with a deadline of a millisecond", "gRPC, Deadlines")
def grpc_deadline(peer: Peer) -> None:
    """Each ends in time or with DEADLINE_EXCEEDED; the call after them is answered."""
    call, reply = peer.model.call().as_message(), messages.ModelInferResponse
    codes = {peer.call("ModelInfer", call, reply, timeout_s=0.001).code for _ in range(TIMES)}
    require(codes <= {"OK", "DEADLINE_EXCEEDED"}, f"the calls ended with {sorted(codes)}")
    peer.goes_on_grpc()


@AREA.check("grpc-cancel", f"{TIMES} gRPC calls that are cancelled", "gRPC, Cancellation")
def grpc_cancel(peer: Peer) -> None:
    """At once, while they run, and when they are about to be answered; the call after them is answered."""
    for number in range(TIMES):
        peer.abandon("ModelInfer", peer.model.call().as_message(), number * 0.0002)
    peer.goes_on_grpc()


@AREA.check("grpc-stream", "a stream that is cancelled after its first answer", STREAMING, optional=True)
def grpc_stream(peer: Peer) -> None:
    """The next call is answered."""
    sent = [peer.model.call(seed=seed).as_message() for seed in range(TIMES)]
    answer = peer.stream("ModelStreamInfer", sent, messages.ModelStreamInferResponse, stop_after=1)
    if answer.code == "UNIMPLEMENTED":
        raise Absent("answered with UNIMPLEMENTED")
    require(answer.messages, f"ended with {answer.code}: {answer.details[:200]}")
    peer.goes_on_grpc()


@AREA.check("afterwards", "after all this the server is ready and answers", f"{HTTP1} 9")
def afterwards(peer: Peer) -> None:
    """Health and inference."""
    for _ in range(3):
        status = peer.get("/v2/health/ready").status
        require(status == 200, f"/v2/health/ready is answered with {status}")
        peer.goes_on()
