"""Health checks over both wires, and what both share in reading what an endpoint says."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import grpc
import grpc.aio
import pytest

from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError, Why
from gateway.core.verdict import Verdict
from gateway.upstreams.checks import is_ready, unreadable
from gateway.upstreams.oip_grpc import GrpcUpstream
from gateway.upstreams.oip_http import HttpUpstream
from gateway.upstreams.settings import GrpcUpstreamSettings, HttpUpstreamSettings
from gateway.wire.proto import messages
from tests.fakes.data_plane import EchoService, fake_data_plane
from tests.fakes.http2_peer import Call, http2_peer
from tests.fakes.listener import listener_of
from tests.fakes.names import Names
from tests.fakes.redis_server import free_port
from tests.fakes.service import request
from tests.fakes.upstreams import (
    Foreign,
    aborting,
    before,
    fails,
    foreign_grpc,
    foreign_http,
    grpc_upstream_to,
    http,
    http_upstream_to,
    scripted_peer,
)

WIRES = {"http": http_upstream_to, "grpc": grpc_upstream_to}


@pytest.fixture(params=WIRES.values(), ids=WIRES)
def wire(request: pytest.FixtureRequest) -> Callable[..., Any]:
    chosen: Callable[..., Any] = request.param
    return chosen


@pytest.mark.parametrize("ready", [True, False])
async def test_a_gateway_says_whether_it_is_ready(wire, ready):
    """Over either wire; it is asked over a connection of its own, which is closed."""
    async with before(wire, EchoService(), is_ready=lambda: ready) as upstream:
        await upstream(request())
        verdict = await upstream.check()
        again = await upstream.check()

    assert (verdict.why is None) is ready
    assert verdict == again
    if not ready:
        assert (verdict.why.reason, verdict.why.answered) == ("not_ready", True)


async def test_nobody_there(wire):
    """Refused, and said so."""
    upstream = wire(free_port())

    assert await upstream.check() == Verdict(Why("refused"))
    await upstream.aclose()


async def test_somebody_who_hangs_up(wire):
    """Or takes the question and ends."""

    async def play(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None: ...

    async with scripted_peer(play) as peer:
        upstream = wire(peer.port)
        verdict = await upstream.check()
        await upstream.aclose()

    assert verdict == Verdict(Why("reset"))


async def test_what_we_lack_is_no_verdict(wire, monkeypatch):
    """Out of descriptors nothing can be asked."""

    async def lacking(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    upstream = wire(1)
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", lacking)

    assert await upstream.check() == Verdict(ours=True)
    await upstream.aclose()


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        (200, True),
        (204, True),
        (404, True),
        (401, True),
        (429, True),
        (400, False),
        (500, False),
        (503, False),
    ],
)
async def test_what_statuses_say(status, ready):
    """Who knows no such path works; Triton says 400 and others 5xx when they are not ready."""
    async with foreign_http(http(status, b'{"error":"loading"}')) as upstream:
        verdict = await upstream.check()

    assert is_ready(status) is ready
    assert verdict == (Verdict() if ready else Verdict(Why("not_ready", "loading", answered=True)))


HEALTH = messages.HealthCheckResponse
SERVER = messages.ServerReadyResponse


def answering(outcome: Any) -> Foreign:
    """A method that answers a message or bytes, or ends with a status."""

    async def method(_body: bytes, context: Any) -> bytes:
        if isinstance(outcome, grpc.StatusCode):
            await context.abort(outcome, "its words")
        return outcome if isinstance(outcome, bytes) else outcome.SerializeToString()

    return method


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ({"Check": HEALTH(status=1)}, Verdict()),
        ({"Check": HEALTH(status=2)}, Verdict(Why("not_ready", answered=True))),
        ({"ServerReady": SERVER(ready=True)}, Verdict()),
        ({"ServerReady": SERVER(ready=False)}, Verdict(Why("not_ready", answered=True))),
        ({}, Verdict()),
        ({"Check": grpc.StatusCode.PERMISSION_DENIED}, Verdict()),
        ({"Check": grpc.StatusCode.UNAVAILABLE}, Verdict(Why("not_ready", "its words", answered=True))),
        ({"Check": b"\xff"}, Verdict(Why("protocol", answered=True))),
    ],
    ids=[
        "serving",
        "not serving",
        "ready",
        "not ready",
        "knows neither",
        "not for us",
        "unavailable",
        "noise",
    ],
)
async def test_what_grpc_servers_say(answers, verdict):
    """The health service first; a server without it is asked in the protocol's own way."""
    server = grpc.aio.server()
    for service, name in (("grpc.health.v1.Health", "Check"), (messages.SERVICE, "ServerReady")):
        outcome = answers.get(name, grpc.StatusCode.UNIMPLEMENTED)
        handler = grpc.unary_unary_rpc_method_handler(answering(outcome))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    upstream = grpc_upstream_to(port)

    assert await upstream.check() == verdict

    await upstream.aclose()
    await server.stop(None)


async def test_a_500_of_a_model_speaks_of_the_model():
    """INTERNAL and UNKNOWN, as servers end what their model's code raised."""
    for code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN):
        async with foreign_grpc(aborting(code, "ValueError: 'secret' at 10.0.0.7")) as upstream:
            with pytest.raises(GatewayError) as caught:
                await upstream(request())

        assert caught.value.why == Why(
            code.name, "ValueError: 'secret' at 10.0.0.7", answered=True, of_model=True
        )
        assert caught.value.message == "endpoint 'far' failed: ValueError: … at …"


@pytest.mark.parametrize("early_s", [0.0, 0.04])
async def test_a_deadline_that_the_caller_made_is_nobodys_fault(early_s):
    """The other side says that time is up about when it is."""

    async def slow(_body: bytes, context: Any) -> bytes:
        await asyncio.sleep(0.09 - early_s)
        await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "time is up")
        return b""

    async with foreign_grpc(slow) as upstream:
        with pytest.raises(GatewayError) as caught:
            await upstream(request(deadline=asyncio.get_running_loop().time() + 0.09))

    assert (caught.value.fault, caught.value.retryable, caught.value.counts) == (Fault.DEADLINE, False, False)


def test_why_an_answer_cannot_be_read():
    """Only what its server meant so; the rest is broken."""
    invalid = GatewayError(Fault.INVALID, "data of input 'y' must be a list of numbers for FP32")

    assert unreadable(b'{"data":[1,null]}', invalid) == "its JSON holds null where a value should be"
    assert unreadable(b'{"data":["null"]}', invalid) == ""
    assert unreadable(b"", GatewayError(Fault.INVALID, "the request has more than 5 keys as JSON")) == (
        "the answer has more than 5 keys as JSON"
    )


def test_binary_data_are_no_words() -> None:
    """Only what is JSON, and of that no more than can be searched without holding anybody up."""
    invalid = GatewayError(Fault.INVALID, "the body is not valid JSON")

    assert unreadable(b" " * (64 << 20) + b"null", invalid) == ""
    assert unreadable(b'{"data":["NaN",' + b"1," * 50_000 + b"NaN]}", invalid) == (
        "its JSON holds NaN where a value should be"
    )


async def test_a_word_among_binary_data_excuses_nothing() -> None:
    """An answer that claims four bytes and brings others is broken, whatever they spell."""
    json = b'{"model_name":"m","outputs":[{"name":"y","datatype":"FP32","shape":[1],"parameters":'
    json += b'{"binary_data_size":4}}]}'
    outcome = http(200, json + b"null null", f"Inference-Header-Content-Length: {len(json)}")
    async with foreign_http(outcome) as upstream:
        error = await fails(upstream(request()))

    assert error.counts
    assert "not as the protocol has it" in error.message


@pytest.fixture
async def both(monkeypatch):
    """A name with two addresses, at each of which a server counts what it is asked."""
    Names(monkeypatch, ["127.0.0.1", "127.0.0.2"])
    counts = {"127.0.0.1": 0, "127.0.0.2": 0}
    writers: dict[str, list[asyncio.StreamWriter]] = {"127.0.0.1": [], "127.0.0.2": []}
    port = free_port()

    def serve(host: str) -> Any:
        async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers[host].append(writer)
            try:
                while head := await reader.readuntil(b"\r\n\r\n"):
                    length = int(head.lower().partition(b"\r\ncontent-length: ")[2].split(b"\r\n")[0])
                    await reader.readexactly(length)
                    counts[host] += 1
                    writer.write(http(200, ANSWER, close=False))
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        return play

    servers = [await asyncio.start_server(serve(host), host, port) for host in counts]

    def kill(host: str) -> None:
        servers[list(counts).index(host)].close()
        for writer in writers[host]:
            writer.transport.abort()

    yield port, counts, kill
    for server in servers:
        server.close()
    for writer in (*writers["127.0.0.1"], *writers["127.0.0.2"]):
        writer.close()
    await asyncio.sleep(0)


ANSWER = b'{"model_name":"m","outputs":[{"name":"y","datatype":"INT8","shape":[2],"data":[1,2]}]}'


async def test_a_dead_address_is_passed_over(both):
    """What was under way there is lost; from then on everything goes to the other, without a failure."""
    port, counts, kill = both
    upstream = far(port)
    await upstream(request())
    kill("127.0.0.1")
    await asyncio.sleep(0.01)

    for _ in range(20):
        await upstream(request())

    assert counts == {"127.0.0.1": 1, "127.0.0.2": 20}
    await upstream.aclose()


async def test_an_address_that_fails_its_requests_is_left(both):
    """When failures in a row would put the endpoint out, its other address takes over; then there is none."""
    port, counts, _ = both
    upstream = far(port)
    assert not upstream.move(), "nobody has been asked yet"
    await upstream(request())

    assert upstream.move()
    await upstream(request())

    assert counts == {"127.0.0.1": 1, "127.0.0.2": 1}
    assert not upstream.move(), "against both something is known"
    await upstream.aclose()


@pytest.mark.parametrize("wire", ["http", "grpc"])
async def test_an_address_that_resets_is_left(monkeypatch, wire):
    """It takes connections and requests; after the first that it dropped, the other address has them all."""
    Names(monkeypatch, ["127.0.0.1", "127.0.0.2"])
    dropped = 0

    def drop(call: Call) -> None:
        nonlocal dropped
        dropped += 1
        call.connection.transport.abort()

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal dropped
        await reader.readuntil(b"\r\n\r\n")
        dropped += 1
        writer.transport.abort()

    listener = listener_of(fake_data_plane(EchoService()))
    await listener.start("127.0.0.2", 0)
    async with AsyncExitStack() as lifetimes:
        lifetimes.push_async_callback(listener.aclose)
        if wire == "http":
            await lifetimes.enter_async_context(scripted_peer(reset, listener.port))
        else:
            await lifetimes.enter_async_context(http2_peer(drop, port=listener.port))
        upstream = far_over(wire, listener.port)
        lifetimes.push_async_callback(upstream.aclose)
        with pytest.raises(GatewayError):
            await upstream(request())
        for _ in range(10):
            await upstream(request())

    assert dropped == 1


def far_over(wire: str, port: int, **settings: Any) -> HttpUpstream | GrpcUpstream:
    if wire == "http":
        return far(port, **settings)
    return GrpcUpstream("far", f"far:{port}", LoopClock(), settings=GrpcUpstreamSettings(**settings))


@pytest.mark.parametrize("wire", ["http", "grpc"])
async def test_an_address_that_hangs_is_left(monkeypatch, wire):
    """It takes connections and says nothing: whoever gave up waiting has no connection left to tell of it."""
    Names(monkeypatch, ["127.0.0.1", "127.0.0.2"])
    silent: list[asyncio.StreamWriter] = []

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent.append(writer)

    listener = listener_of(fake_data_plane(EchoService()))
    await listener.start("127.0.0.2", 0)
    server = await asyncio.start_server(hang, "127.0.0.1", listener.port)
    upstream = far_over(wire, listener.port, connect_timeout_s=0.3)
    for _ in range(2):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await upstream(request())
    upstream.move()

    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(GatewayError):
                await upstream(request())
                break

    await upstream.aclose()
    await listener.aclose()
    server.close()
    for writer in silent:
        writer.close()


async def test_an_address_that_the_name_has_no_longer_is_left(both, monkeypatch):
    """Looked up again, the connections to it take no new requests."""
    port, counts, _ = both
    upstream = far(port, dns_refresh_rate_s=1e-9)
    await upstream.refresh()
    await upstream(request())
    Names(monkeypatch, ["127.0.0.2"])

    await upstream.refresh()
    await upstream(request())

    assert counts == {"127.0.0.1": 1, "127.0.0.2": 1}
    await upstream.aclose()


def far(port: int, **settings: Any) -> HttpUpstream:
    return HttpUpstream("far", f"http://far:{port}", LoopClock(), settings=HttpUpstreamSettings(**settings))
