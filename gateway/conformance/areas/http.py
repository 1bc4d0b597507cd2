"""Area `http`: what clients of the protocol need of HTTP/1.1 itself."""

from __future__ import annotations

from typing import Final

from gateway.conformance.call import Call, model_path
from gateway.conformance.check import Area
from gateway.conformance.clauses import HTTP, HTTP1
from gateway.conformance.http_wire import HttpRequest
from gateway.conformance.server_under_test import JSON, ServerUnderTest, reply_of
from gateway.conformance.verdicts import require

AREA = Area("http")
LIVE: Final = "/v2/health/live"


def _infer(call: Call, *, body: bytes | tuple[bytes, ...] | None = None) -> HttpRequest:
    return HttpRequest("POST", f"{call.path}/infer", JSON, call.as_json() if body is None else body)


@AREA.check("keep-alive", "requests one after the other on one connection", f"{HTTP1} 9.3")
def keep_alive(tested: ServerUnderTest) -> None:
    """Connections of HTTP/1.1 persist; the answers are matched by their ids."""
    calls = [tested.model.call(seed=seed).but(id=f"k{seed}") for seed in range(3)]
    ids = [reply_of(answer).id for answer in tested.in_turn(*map(_infer, calls))]
    require(ids == ["k0", "k1", "k2"], f"the ids are {ids}")


@AREA.check("after-refusal", "a refused body leaves the connection as it was, or ends it", f"{HTTP1} 9.3")
def after_refusal(tested: ServerUnderTest) -> None:
    """The rest of a wrong request is never read as the next request."""
    call = tested.model.call()
    wrong, *right = (_infer(call, body=b"{" * 4000), _infer(call))
    refused = tested.in_turn(wrong)[0]
    require(refused.status >= 400, f"status {refused.status}: it is not refused")
    if "close" not in refused.header("Connection").lower():
        reply_of(tested.in_turn(wrong, *right)[1])


@AREA.check("close", "Connection: close is answered with the same", f"{HTTP1} 9.6")
def close(tested: ServerUnderTest) -> None:
    """The answer announces that the connection closes."""
    answer = tested.ask("GET", LIVE, (("Connection", "close"),))
    require(answer.status == 200, f"status {answer.status}, not 200")
    connection = answer.header("Connection")
    require("close" in connection.lower(), f"Connection is {connection[:40]!r}")


@AREA.check("head", "HEAD is GET without a body", f"{HTTP} 9.3.2")
def head(tested: ServerUnderTest) -> None:
    """Every general-purpose server must have both methods; the answer behind it must be readable."""
    requests = [HttpRequest(method, LIVE) for method in ("HEAD", "GET")]
    statuses = [answer.status for answer in tested.in_turn(*requests)]
    require(statuses == [200, 200], f"HEAD and the GET behind it are answered with {statuses}")


@AREA.check("method", "a method that a resource does not have is 405", f"{HTTP} 15.5.6")
def method(tested: ServerUnderTest) -> None:
    """404 would say that the resource does not exist, 2xx that something was done."""
    for verb, target in (("DELETE", LIVE), ("PUT", model_path(tested.model.name, verb="infer"))):
        answer = tested.ask(verb, target, body=b"")
        require(answer.status in {405, 501}, f"{verb} is answered with {answer.status}, not 405")


@AREA.check("allow", "405 names the methods that there are", f"{HTTP} 15.5.6")
def allow(tested: ServerUnderTest) -> None:
    """The header `Allow` lists the methods of the resource."""
    answer = tested.ask("DELETE", LIVE)
    require(answer.status == 405, f"status {answer.status}, not 405")
    require("GET" in answer.header("Allow").upper(), f"Allow is {answer.header('Allow')[:40]!r}")


@AREA.check("chunked", "a chunked body is read", f"{HTTP1} 7.1")
def chunked(tested: ServerUnderTest) -> None:
    """The size of the chunks does not matter."""
    call = tested.model.call()
    body = call.as_json()
    cut = len(body) // 3
    parts = (body[:1], body[1:cut], body[cut:])
    tested.infer(call).same_outputs(reply_of(tested.in_turn(_infer(call, body=parts))[0]))


@AREA.check("continue", "Expect: 100-continue is met", f"{HTTP} 10.1.1")
def expect_continue(tested: ServerUnderTest) -> None:
    """With 100, or with the final answer."""
    call = tested.model.call()
    answer = tested.post(f"{call.path}/infer", call.as_json(), (*JSON, ("Expect", "100-continue")))
    tested.infer(call).same_outputs(reply_of(answer))


@AREA.check("unknown-header", "headers that the server does not know are no error", f"{HTTP} 5.1")
def unknown_header(tested: ServerUnderTest) -> None:
    """Proxies add theirs: trace context, addresses, ids."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = (*JSON, ("traceparent", trace), ("X-Request-Id", "suite"), ("X-Suite", "1"))
    tested.infer(tested.model.call()).same_outputs(tested.infer(tested.model.call(), headers))
