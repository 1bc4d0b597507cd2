"""The HTTP upstream against real sockets: foreign servers, broken ones and none at all."""

from __future__ import annotations

import asyncio
import errno
import math
import socket
from contextlib import ExitStack
from typing import Any

import pytest

from gateway.core.clock import LoopClock
from gateway.core.eager import in_task
from gateway.core.errors import Fault, GatewayError
from gateway.core.offload import Here
from gateway.core.request import Caller, Provenance
from gateway.upstreams.oip_http import HttpUpstream
from gateway.upstreams.settings import HttpUpstreamSettings
from tests.fakes.data_plane import EchoService
from tests.fakes.service import HANG, ScriptedService, request
from tests.fakes.upstreams import (
    before,
    fails,
    flags,
    foreign_http,
    http,
    http_upstream,
    http_upstream_to,
    read_request,
    scripted_peer,
    until,
)

ANSWER = b'{"model_name":"m","outputs":[{"name":"y","datatype":"INT8","shape":[2],"data":[1,2]}]}'


async def test_foreign_servers_count_as_central():
    """A server that is no Edgeway is central, certified, in the region of its endpoint; JSON will do."""
    async with foreign_http(http(200, ANSWER), region="us-east") as upstream:
        response = await upstream(request())

    assert response.provenance == Provenance("central", region="us-east")
    assert (response.model, response.version) == ("m", "")
    assert response.outputs[0].numpy().tolist() == [1, 2]


@pytest.mark.parametrize("fault", [Fault.INTERNAL, Fault.OVERLOADED, Fault.UNAVAILABLE])
async def test_that_nobody_here_could_read_an_answer_is_no_evidence(fault: Fault):
    """The process that reads much JSON has ended, or leaves, or has too much to do."""

    class Broken(Here):
        async def __call__(self, work: Any, *arguments: Any) -> Any:
            raise GatewayError(fault, "of our own")

    long = b'{"model_name":"m","outputs":[{"name":"y","datatype":"INT8","shape":[40000],"data":[%b]}]}'
    answer = http(200, long % b",".join([b"1"] * 40_000))
    async with foreign_http(answer, offload=Broken()) as upstream:
        error = await fails(upstream(request()))

    assert (error.fault, error.counts, error.why) == (fault, False, None)


async def test_the_headers_of_a_request():
    """Who asks and until when travels in headers; credentials do not, nor does anything compressed."""
    received: list[bytes] = []
    caller = Caller(address="203.0.113.9", tenant="clinic", credential="Bearer secret")
    deadline = asyncio.get_running_loop().time() + 2
    sent = request(
        caller=caller,
        hops=2,
        trace=(("traceparent", "00-ab-cd-01"),),
        deadline=deadline,
        version="3",
        regions=frozenset({"b", "a"}),
    )

    async with foreign_http(http(200, ANSWER), received) as upstream:
        await upstream(sent)

    line, *lines = received[0].decode().strip().split("\r\n")
    sent = {name.lower(): value for name, value in (item.split(": ", 1) for item in lines)}
    assert line == "POST /v2/models/digits/versions/3/infer HTTP/1.1"
    assert (sent["x-forwarded-for"], sent["x-edgeway-tenant"], sent["x-edgeway-hops"]) == (
        "203.0.113.9",
        "clinic",
        "3",
    )
    assert sent["x-edgeway-regions"] == "a,b"
    assert sent["traceparent"] == "00-ab-cd-01"
    assert 1900 < int(sent["x-request-timeout-ms"]) <= 2051
    assert (sent["accept-encoding"], sent["user-agent"]) == ("identity", "edgeway")
    assert "authorization" not in sent
    assert "cookie" not in sent


async def test_an_unknown_caller_has_no_headers():
    """A request without tenant, regions or deadline is sent without them; that the client is unknown is said."""
    received: list[bytes] = []
    async with foreign_http(http(200, ANSWER), received) as upstream:
        await upstream(request())

    for name in (b"x-edgeway-tenant", b"x-edgeway-regions", b"x-request-timeout-ms"):
        assert name not in received[0].lower()
    assert b"x-forwarded-for: unknown" in received[0].lower()


async def test_cookies_are_not_kept():
    """What one caller's answer sets must not travel with the next caller's request."""
    received: list[bytes] = []
    async with foreign_http(http(200, ANSWER, "Set-Cookie: a=b; Path=/"), received) as by_address:
        # An address would not do: no jar keeps the cookies of one.
        url = by_address.url.replace("127.0.0.1", "localhost")
        upstream = HttpUpstream("central", url, LoopClock())
        await upstream(request())
        await upstream(request())
        await upstream.aclose()

    assert len(received) == 2
    assert b"cookie" not in received[1].lower()


async def test_a_name_that_no_header_can_carry():
    """It is a clear error before anything is sent."""
    received: list[bytes] = []
    async with foreign_http(http(200, ANSWER), received) as upstream:
        error = await fails(upstream(request(caller=Caller(tenant="a\r\nX-Evil: 1"))))

    assert error.message == "x-edgeway-tenant must be printable ASCII"
    assert error.unsent
    assert flags(error) == (Fault.INVALID, False, False)
    assert received == []


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (500, (Fault.INTERNAL, False, True)),
        (502, (Fault.UNAVAILABLE, True, True)),
        (503, (Fault.UNAVAILABLE, True, True)),
        (504, (Fault.DEADLINE, True, True)),
        (429, (Fault.OVERLOADED, True, False)),
        (408, (Fault.DEADLINE, True, False)),
        (499, (Fault.UNAVAILABLE, False, False)),
        (302, (Fault.INTERNAL, False, False)),
        (204, (Fault.INTERNAL, False, False)),
    ],
)
async def test_failures_of_the_other_side(status, expected):
    """Only 5xx count against it; its words about itself stay inside; redirects are not followed."""
    body = b"" if status == 204 else b'{"error":"at 10.0.0.7:8001 in /srv/model"}'
    async with foreign_http(http(status, body, "Location: http://127.0.0.1:1/")) as upstream:
        error = await fails(upstream(request()))

    assert flags(error) == expected
    assert error.message.startswith("endpoint 'far' ")


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (400, Fault.INVALID),
        (404, Fault.NOT_FOUND),
        (413, Fault.TOO_LARGE),
        (422, Fault.INVALID),
        (501, Fault.UNSUPPORTED),
    ],
)
async def test_faults_of_the_client(status, fault):
    """What the client did wrong is told in the other side's words, cut and printable, against nobody."""
    async with foreign_http(http(status, b'{"error":"no\\n such' + b"x" * 500 + b'"}')) as upstream:
        error = await fails(upstream(request()))
    async with foreign_http(http(status, b"<html>")) as silent:
        wordless = await fails(silent(request()))

    assert flags(error) == (fault, False, False)
    assert error.message.startswith("no? suchxxx")
    assert len(error.message) == 200
    assert wordless.message == "endpoint 'far' refused the request"


@pytest.mark.parametrize(
    ("status", "retry_after", "fault", "seconds"),
    [
        (429, "3", Fault.OVERLOADED, 3.0),
        (503, "7", Fault.OVERLOADED, 7.0),
        (503, "Wed, 21 Oct 2026 07:28:00 GMT", Fault.UNAVAILABLE, None),
        (503, "-1", Fault.UNAVAILABLE, None),
    ],
)
async def test_overload_has_the_time_to_come_again(status, retry_after, fault, seconds):
    """A gateway's 503 with a Retry-After says that it sheds load, which is no evidence against it."""
    lines = (f"Retry-After: {retry_after}", "X-Edgeway-Policy-Generation: 7")
    async with foreign_http(http(status, b"", *lines)) as upstream:
        error = await fails(upstream(request()))

    assert (error.fault, error.retry_after_s) == (fault, seconds)
    assert error.counts is (fault is Fault.UNAVAILABLE)


async def test_a_strangers_503_is_evidence_whatever_it_says_of_later():
    """Proxies and servers that are down say so with a Retry-After; it is passed on."""
    async with foreign_http(http(503, b"", "Retry-After: 120")) as upstream:
        error = await fails(upstream(request()))

    assert flags(error) == (Fault.UNAVAILABLE, True, True)
    assert error.retry_after_s == 120.0


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL])
async def test_what_we_lack_is_reported_as_ours(monkeypatch, number):
    """Without descriptors or ports of ours nobody is asked again, and nobody is blamed."""

    async def lacking(*_: object, **__: object) -> None:
        raise OSError(number, "lacking")

    async with http_upstream(1) as upstream:
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", lacking)
        errors = [await fails(upstream(request())) for _ in range(2)]

    assert {flags(error) for error in errors} == {(Fault.OVERLOADED, False, False)}
    assert "this gateway is out of" in errors[1].message


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "reset"),
        (b"SSH-2.0-OpenSSH\r\n", "protocol"),
        (http(503, b'{"error":"backend 10.0.0.7 is gone"}'), "503"),
        (http(500, b'{"error":"no"}'), "500"),
    ],
)
async def test_failures_say_why(answer, reason):
    """One word for metrics; a status with its sentence."""
    async with foreign_http(answer) as upstream:
        error = await fails(upstream(request()))

    assert error.why is not None
    assert (error.why.reason, error.why.of_model) == (reason, reason == "500")
    assert error.why.answered is reason.isdecimal()
    assert "10.0.0.7" not in error.message


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        http(200, ANSWER, length=5000),
        http(200, ANSWER, "X: \x7f"),
    ],
    ids=["hangs up", "no HTTP", "truncated", "control character"],
)
async def test_a_broken_connection(answer):
    """A connection that ends early, or talks something else, is a failure of the endpoint."""
    async with foreign_http(answer) as upstream:
        error = await fails(upstream(request()))

    assert flags(error) == (Fault.UNAVAILABLE, True, True)
    assert error.message.startswith("endpoint 'far' is unavailable: ")


async def test_a_server_that_never_accepts():
    """Connecting has a time of its own."""
    with ExitStack() as sockets:
        full = sockets.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        # What does not fit into the queue of a listening socket is dropped without a word.
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())

        async with http_upstream(
            full.getsockname()[1], settings=HttpUpstreamSettings(connect_timeout_s=0.05)
        ) as upstream:
            async with asyncio.timeout(30):
                error = await fails(upstream(request()))

    assert flags(error) == (Fault.UNAVAILABLE, True, True)


async def test_deadline_of_the_request_is_no_evidence():
    """The other side's 504 counts while there was time left, and is nobody's fault after."""
    now = asyncio.get_running_loop().time

    async with foreign_http(http(504)) as upstream:
        early = await fails(upstream(request(deadline=now() + 10)))

    service = ScriptedService(HANG)

    class Ends:
        """A gateway whose Deadline does its work."""

        async def __call__(self, request: Any) -> Any:
            await in_task()
            try:
                async with asyncio.timeout_at(request.deadline):
                    return await service(request)
            except TimeoutError:
                raise GatewayError(Fault.DEADLINE, "too late") from None

    async with before(http_upstream_to, Ends()) as upstream:
        late = await fails(upstream(request(deadline=now() + 0.02)))
        past = await fails(upstream(request(deadline=now() - 1)))

    assert flags(early) == (Fault.DEADLINE, True, True)
    assert flags(late) == flags(past) == (Fault.DEADLINE, False, False)
    assert len(service.requests) == 1


async def test_closing_says_nothing_about_the_other_side():
    """Calls under way, and later ones, become retryable faults that count against nobody."""
    service = ScriptedService(HANG)
    async with before(http_upstream_to, service) as upstream:
        call = asyncio.ensure_future(upstream(request()))
        await until(lambda: service.running)

        await upstream.aclose()
        ended = await fails(call)
        later = await fails(upstream(request()))

        assert flags(ended) == flags(later) == (Fault.UNAVAILABLE, True, False)
        assert repr(upstream).endswith("closed, 0 running>")


async def test_an_upstream_that_was_never_used():
    """Nothing is opened before the first call, so there is nothing to close."""
    upstream = HttpUpstream("central", "http://127.0.0.1:1", LoopClock())

    assert repr(upstream) == "<HttpUpstream central at http://127.0.0.1:1, open, 0 running>"
    await upstream.aclose()


async def test_connections_are_used_again():
    """Calls one after another share a connection."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(20):
            await read_request(reader)
            writer.write(http(200, ANSWER, close=False))
        await reader.read()

    async with scripted_peer(play) as peer, http_upstream(peer.port) as upstream:
        for number in range(20):
            await upstream(request(float(number)))

    assert peer.connections == 1


async def test_no_deadline_is_no_header():
    """Infinity is not sent as a number."""
    service = EchoService()
    async with before(http_upstream_to, service) as upstream:
        await upstream(request())

    assert service.last.deadline == math.inf
