"""Headers that travel: the same over HTTP and over gRPC, in and out, on real sockets."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from operator import itemgetter
from typing import Any
from uuid import UUID

import aiohttp
import grpc
import grpc.aio
import pytest
from multidict import CIMultiDict

from gateway.core.errors import Fault, GatewayError
from gateway.http.request_ids import RequestIds
from gateway.http.server.settings import TransportSettings
from gateway.wire.oip import json as oip_json
from gateway.wire.oip import proto as oip_proto
from gateway.wire.oip.paths import model_path
from gateway.wire.proto import messages
from gateway.wire.travelling import TravellingHeaders
from tests.fakes.data_plane import EchoService, fake_data_plane
from tests.fakes.listener import listener_of
from tests.fakes.service import ScriptedService, request
from tests.fakes.upstreams import before, grpc_upstream_to, http_upstream_to

Pairs = tuple[tuple[str, str], ...]
Ask = Callable[..., Any]

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = ("traceparent", f"00-{TRACE}-b7ad6b7169203331-01")
CONTEXT: Pairs = (
    PARENT,
    ("tracestate", "one=1"),
    ("baggage", "a=1"),
    ("tracestate", "two=2"),
    ("b3", f"{TRACE}-b7ad6b7169203331-1"),
    ("x-b3-traceid", TRACE),
    ("x-b3-spanid", "b7ad6b7169203331"),
    ("x-b3-sampled", "1"),
    ("baggage", "b=2"),
)
COMBINED: Pairs = (
    PARENT,
    ("tracestate", "one=1,two=2"),
    ("baggage", "a=1,b=2"),
    *CONTEXT[4:8],
)


@asynccontextmanager
async def over_http(port: int) -> AsyncIterator[Ask]:
    """Asks for an inference; returns status and headers."""

    async def ask(headers: Pairs = (), path: str = model_path("digits", "", "infer")) -> tuple[int, Pairs]:
        body = oip_json.encode_request(request())
        sent = CIMultiDict(headers)
        sent["inference-header-content-length"] = str(body.header_length)
        async with client.post(f"http://127.0.0.1:{port}{path}", data=body.join(), headers=sent) as answer:
            await answer.read()
            return answer.status, tuple((name.lower(), value) for name, value in answer.headers.items())

    async with aiohttp.ClientSession() as client:
        yield ask


@asynccontextmanager
async def over_grpc(port: int) -> AsyncIterator[Ask]:
    """Likewise; the headers are the initial metadata, of an error its trailers."""

    async def ask(headers: Pairs = (), path: str = f"/{messages.SERVICE}/ModelInfer") -> tuple[int, Pairs]:
        body = oip_proto.encode_request(request()).SerializeToString()
        call = channel.unary_unary(path)(body, metadata=headers)
        try:
            await call
        except grpc.aio.AioRpcError as error:
            return error.code().value[0], tuple(error.trailing_metadata())
        return 200, tuple(await call.initial_metadata())

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield ask


WIRES = {"http": over_http, "grpc": over_grpc}


@pytest.fixture(params=WIRES)
def over(request: pytest.FixtureRequest) -> str:
    """The wire."""
    name: str = request.param
    return name


@asynccontextmanager
async def before_listener(
    over: str, service: Any, *, makes_ids: bool = True, **changes: Any
) -> AsyncIterator[Ask]:
    if makes_ids:
        changes["make_request_id"] = RequestIds().make
    data_plane = fake_data_plane(service, **changes)
    settings = TransportSettings(generate_request_id=makes_ids)
    listener = listener_of(data_plane, settings)
    await listener.start("127.0.0.1", 0)
    try:
        async with WIRES[over](listener.port) as ask:
            yield ask
    finally:
        await listener.aclose()


def ids(headers: Pairs) -> list[str]:
    return [value for name, value in headers if name == "x-request-id"]


def trace_of(service: EchoService) -> Pairs:
    return tuple(pair for pair in service.last.trace if pair[0] != "x-request-id")


async def test_all_of_a_trace_is_passed_on(over: str) -> None:
    """Lines are combined in their order; B3 in both forms and baggage come along."""
    service = EchoService()
    async with before_listener(over, service) as ask:
        await ask(CONTEXT)

    assert trace_of(service) == COMBINED


async def test_a_parent_given_twice_begins_a_new_trace() -> None:
    """It is no reason to refuse. grpc's own client sends but one of them."""
    service = EchoService()
    async with before_listener("http", service) as ask:
        status, _ = await ask((PARENT, ("tracestate", "a=1"), PARENT))

    assert (status, trace_of(service)) == (200, ())


async def test_only_the_propagators_of_the_settings(over: str) -> None:
    """Baggage may name people: who does not want it leaves it out."""
    service = EchoService()
    async with before_listener(over, service, travelling=TravellingHeaders(["tracecontext", "b3"])) as ask:
        await ask(CONTEXT)

    assert {name for name, _ in trace_of(service)} == {"traceparent", "tracestate", "b3"}


async def test_a_request_without_an_id_gets_one(over: str) -> None:
    """Each its own: the answer has it, and whoever is asked next."""
    service = EchoService()
    async with before_listener(over, service) as ask:
        answers = [await ask() for _ in range(3)]

    returned = [ids(headers) for _, headers in answers]
    assert returned == [[dict(each.trace)["x-request-id"]] for each in service.requests]
    assert len({str(UUID(made)) for (made,) in returned}) == 3


async def test_an_id_that_a_client_gives_stays(over: str) -> None:
    """In the answer and on its way; also where the same is given again."""
    service = EchoService()
    async with before_listener(over, service) as ask:
        answers = [await ask((("x-request-id", "mine-1"),)) for _ in range(3)]

    assert [ids(headers) for _, headers in answers] == [["mine-1"]] * 3
    assert [dict(each.trace)["x-request-id"] for each in service.requests] == ["mine-1"] * 3


@pytest.mark.parametrize("given", [("x" * 129,), ("a", "b")])
async def test_an_id_that_cannot_be_taken_is_replaced(over: str, given: tuple[str, ...]) -> None:
    """Too long, or two of them."""
    service = EchoService()
    async with before_listener(over, service) as ask:
        _, headers = await ask(tuple(("x-request-id", value) for value in given))

    (made,) = ids(headers)
    assert UUID(made)
    assert dict(service.last.trace)["x-request-id"] == made


@pytest.mark.parametrize("given", ["", "mine-2"])
async def test_a_refusal_has_the_id_of_its_request(over: str, given: str, caplog) -> None:
    """In the answer and, for who debugs, in the log, with the trace's."""
    service = ScriptedService(GatewayError(Fault.OVERLOADED, "the queue is full"))
    sent = (("x-request-id", given), PARENT) if given else (PARENT,)
    with caplog.at_level(logging.DEBUG, "gateway"):
        async with before_listener(over, service) as ask:
            status, headers = await ask(sent)

    (returned,) = ids(headers)
    assert status in {503, 8, 429}
    assert dict(service.requests[0].trace)["x-request-id"] == returned
    assert not given or returned == given
    assert f"request {returned} of trace {TRACE} was refused: the queue is full" in caplog.text


async def test_what_nobody_expected_is_logged_with_its_id(over: str, caplog) -> None:
    """The client has it, too, and nothing else of the error."""
    async with before_listener(over, ScriptedService(ZeroDivisionError("secret"))) as ask:
        _, headers = await ask((("x-request-id", "mine-3"),))

    assert ids(headers) == ["mine-3"]
    assert "request mine-3 failed unexpectedly" in caplog.text


PATHS = {"http": ("/nowhere", "/v2/repository/index"), "grpc": ("/no.Service/Call", "/inference.X/Y")}


async def test_whatever_is_answered_has_an_id(over: str) -> None:
    """Also what no service ever sees."""
    async with before_listener(over, EchoService()) as ask:
        for path in PATHS[over]:
            _, headers = await ask((("x-request-id", "mine-4"),), path)
            assert ids(headers) == ["mine-4"]
            _, headers = await ask((), path)
            assert len(ids(headers)) == 1


async def test_switched_off_none_is_made(over: str) -> None:
    """One that is given is passed on and returned as ever."""
    service = EchoService()
    async with before_listener(over, service, makes_ids=False) as ask:
        _, without = await ask()
        made = service.last.trace
        _, given = await ask((("x-request-id", "mine-5"),))

    assert (ids(without), made) == ([], ())
    assert ids(given) == ["mine-5"]
    assert service.last.trace == (("x-request-id", "mine-5"),)


CUSTOM: Pairs = (("x-my-b", "1"), ("x-other", "2"), ("x-my-a", "3"), ("x-my-b", "4"))


async def test_headers_of_the_settings_are_in_the_request(over: str) -> None:
    """In their order, repeated ones too; without the setting there are none."""
    named, unnamed = EchoService(), EchoService()
    async with before_listener(over, named, travelling=TravellingHeaders(forwarded=["x-my-*"])) as ask:
        await ask(CUSTOM)
    async with before_listener(over, unnamed) as ask:
        await ask(CUSTOM)

    # grpc's client sends lines of one name together.
    assert sorted(named.last.headers, key=itemgetter(0)) == [
        ("x-my-a", "3"),
        ("x-my-b", "1"),
        ("x-my-b", "4"),
    ]
    assert unnamed.last.headers == ()


async def test_too_many_of_them_are_refused(over: str) -> None:
    """A client's mistake, said so."""
    service = EchoService()
    async with before_listener(over, service, travelling=TravellingHeaders(forwarded=["x-my-*"])) as ask:
        status, _ = await ask((("x-my-a", "v"),) * 33)

    assert status in {400, 3}
    assert service.requests == []


@pytest.mark.parametrize("upstream_to", [http_upstream_to, grpc_upstream_to], ids=["http", "grpc"])
async def test_what_travels_reaches_the_endpoint(upstream_to: Callable[[int], Any]) -> None:
    """Context, id and the settings' headers, on either wire."""
    service = EchoService()
    trace = (*COMBINED, ("x-request-id", "mine-6"))
    headers = (("x-my-b", "1"), ("x-my-a", "3"), ("x-my-b", "4"), ("authorization", "Bearer t"))
    travelling = TravellingHeaders(forwarded=["x-my-*", "authorization"])

    async with before(upstream_to, service, travelling=travelling) as upstream:
        await upstream(request(trace=trace, headers=headers))
        seen = service.last
        await upstream(request())

    assert seen.trace == trace
    assert seen.headers == headers
    assert service.last.trace == service.last.headers == ()
