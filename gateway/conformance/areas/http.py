"""Area `http`: what clients of the protocol lean on in HTTP/1.1 itself."""

from __future__ import annotations

from typing import Final

from gateway.conformance.call import Call, model_path
from gateway.conformance.check import Area, require
from gateway.conformance.clauses import HTTP, HTTP1
from gateway.conformance.http_wire import HttpRequest
from gateway.conformance.peer import JSON, Peer, reply_of

AREA = Area("http")
LIVE: Final = "/v2/health/live"


def _infer(call: Call, *, body: bytes | tuple[bytes, ...] | None = None) -> HttpRequest:
    return HttpRequest("POST", f"{call.path}/infer", JSON, call.as_json() if body is None else body)


@AREA.check("keep-alive", "requests one after the other on one connection", f"{HTTP1} 9.3")
def keep_alive(peer: Peer) -> None:
    """Connections of HTTP/1.1 persist; the answers are told apart by their ids."""
    calls = [peer.model.call(seed=seed).but(id=f"k{seed}") for seed in range(3)]
    ids = [reply_of(answer).id for answer in peer.in_turn(*map(_infer, calls))]
    require(ids == ["k0", "k1", "k2"], f"the ids are {ids}")


@AREA.check("after-refusal", "a refused body leaves the connection as it was, or ends it", f"{HTTP1} 9.3")
def after_refusal(peer: Peer) -> None:
    """What is left of the wrong request is never taken for the next one."""
    call = peer.model.call()
    wrong, *right = (_infer(call, body=b"{" * 4000), _infer(call))
    refused = peer.in_turn(wrong)[0]
    require(refused.status >= 400, f"status {refused.status}: it is not refused")
    if "close" not in refused.header("Connection").lower():
        reply_of(peer.in_turn(wrong, *right)[1])


@AREA.check("close", "Connection: close is answered with the same", f"{HTTP1} 9.6")
def close(peer: Peer) -> None:
    """So that a client knows that it is let go."""
    answer = peer.ask("GET", LIVE, (("Connection", "close"),))
    require(answer.status == 200, f"status {answer.status}, not 200")
    told = answer.header("Connection")
    require("close" in told.lower(), f"Connection is {told[:40]!r}")


@AREA.check("head", "HEAD is GET without a body", f"{HTTP} 9.3.2")
def head(peer: Peer) -> None:
    """Every general-purpose server must have both methods; the answer behind it must be readable."""
    asked = [HttpRequest(method, LIVE) for method in ("HEAD", "GET")]
    statuses = [answer.status for answer in peer.in_turn(*asked)]
    require(statuses == [200, 200], f"HEAD and the GET behind it are answered with {statuses}")


@AREA.check("method", "a method that a resource does not have is 405", f"{HTTP} 15.5.6")
def method(peer: Peer) -> None:
    """404 would deny the resource, 2xx would do something else."""
    for verb, target in (("DELETE", LIVE), ("PUT", model_path(peer.model.name, verb="infer"))):
        answer = peer.ask(verb, target, body=b"")
        require(answer.status in {405, 501}, f"{verb} is answered with {answer.status}, not 405")


@AREA.check("allow", "405 names the methods that there are", f"{HTTP} 15.5.6")
def allow(peer: Peer) -> None:
    """In `Allow`."""
    answer = peer.ask("DELETE", LIVE)
    require(answer.status == 405, f"status {answer.status}, not 405")
    require("GET" in answer.header("Allow").upper(), f"Allow is {answer.header('Allow')[:40]!r}")


@AREA.check("chunked", "a chunked body is read", f"{HTTP1} 7.1")
def chunked(peer: Peer) -> None:
    """Whatever its chunks are."""
    call = peer.model.call()
    body = call.as_json()
    cut = len(body) // 3
    parts = (body[:1], body[1:cut], body[cut:])
    peer.infer(call).same_outputs(reply_of(peer.in_turn(_infer(call, body=parts))[0]))


@AREA.check("continue", "Expect: 100-continue is met", f"{HTTP} 10.1.1")
def expect_continue(peer: Peer) -> None:
    """With 100, or with the final answer."""
    call = peer.model.call()
    answer = peer.post(f"{call.path}/infer", call.as_json(), (*JSON, ("Expect", "100-continue")))
    peer.infer(call).same_outputs(reply_of(answer))


@AREA.check("unknown-header", "headers that the server does not know are no error", f"{HTTP} 5.1")
def unknown_header(peer: Peer) -> None:
    """Proxies add theirs: trace context, addresses, ids."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    said = (*JSON, ("traceparent", trace), ("X-Request-Id", "suite"), ("X-Suite", "1"))
    peer.infer(peer.model.call()).same_outputs(peer.infer(peer.model.call(), said))
