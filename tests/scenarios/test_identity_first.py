"""Who asks is known before anything is read, decoded or remembered of what is asked."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator
from typing import Any

import grpc
import msgspec
import pytest

from gateway.app.generation import Generation
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller
from gateway.core.telemetry import Refused, RequestFinished
from gateway.http.server.settings import TransportSettings
from gateway.listeners.oip.grpc.application import GrpcApplication
from gateway.listeners.oip.rest.application import RestApplication
from gateway.wire.oip import proto as oip_proto
from gateway.wire.oip import reuse
from gateway.wire.proto import messages
from gateway.wire.trust import Trust
from routing.policy import Tenant
from routing.tenants import identify
from tests.cache.build import cache_of
from tests.fakes.application import connection
from tests.fakes.data_plane import EchoService, FakeGeneration, fake_data_plane
from tests.fakes.exchange import Wire
from tests.fakes.http import get, post, read_answer, serving
from tests.fakes.service import ScriptedService
from tests.fakes.stack import stack
from tests.fakes.telemetry import RecordingTelemetry
from tests.gateway.listeners.oip.grpc.calls import GRPC, framed, infer
from tests.routing.policies import policy

INFER = "/v2/models/digits/infer"
CALL, STREAM = (f"/{messages.SERVICE}/{name}" for name in ("ModelInfer", "ModelStreamInfer"))
KEY = {"authorization": "Bearer abcdefg"}
CLOSED = {name: tenant for name, tenant in policy().tenants.items() if name != "anonymous"}
STRANGER = [Refused("admission", "unauthenticated")]


def register(generation: int = 7, **changes: Any) -> FakeGeneration:
    """A generation for which everybody needs a key, and one key is acme's."""
    made = policy(generation=generation, tenants=CLOSED, **changes)
    return FakeGeneration(EchoService(), generation, identify(made, lambda _address: None))


def refusals(telemetry: RecordingTelemetry) -> list[object]:
    return telemetry.of(Refused)


@contextlib.asynccontextmanager
async def calling(*generations: FakeGeneration, **changes: Any) -> AsyncIterator[tuple[Any, list[Any]]]:
    """A channel to a listener, and the generations; the last one is in force."""
    force = list(generations) or [register()]
    settings = changes.pop("settings", None)
    async with (
        serving(force[0].service, settings, generation=lambda: force[-1], **changes) as listener,
        grpc.aio.insecure_channel(f"127.0.0.1:{listener.port}") as channel,
    ):
        yield channel, force


@pytest.mark.parametrize("verb", ["infer", "generate", "generate_stream"])
@pytest.mark.parametrize(
    "framing",
    [
        {"Content_Length": str(32 << 20)},
        {"Content_Length": "100"},
        {"Transfer_Encoding": "chunked"},
        {"Content_Length": "100", "Expect": "100-continue"},
        {"Content_Length": "100", "Content_Encoding": "gzip"},
        {"Content_Length": "100", "Inference_Header_Content_Length": "100"},
    ],
)
@pytest.mark.parametrize("key", [{}, {"Authorization": "Bearer wrong"}, {"X_Edgeway_Tenant": "acme"}])
async def test_a_stranger_is_answered_before_a_byte_of_the_body(
    verb: str, framing: dict[str, str], key: dict[str, str]
) -> None:
    """No byte of it is sent, and nobody is invited to send one."""
    telemetry, generation = RecordingTelemetry(), register()
    path = f"/v2/models/digits/versions/1/{verb}"
    async with (
        serving(
            generation.service, generation=lambda: generation, telemetry=telemetry, trust=Trust()
        ) as listener,
        connection(listener.port) as (reader, writer),
    ):
        writer.write(get(path, "POST", **framing, **key))
        answer = await read_answer(reader)

    assert answer.status == 401
    assert refusals(telemetry) == STRANGER
    assert telemetry.of(RequestFinished) == [RequestFinished("digits", "none", "unauthenticated", 0.0, "1")]
    assert generation.service.requests == []


@pytest.mark.parametrize("framing", [{"Content_Length": str(32 << 20)}, {"Transfer_Encoding": "chunked"}])
async def test_a_stranger_with_a_long_body_is_left(framing: dict[str, str]) -> None:
    """It goes on sending for a while, which is dropped; then its connection is over."""
    generation, settings = register(), TransportSettings(lingering_s=0.2)
    async with (
        serving(generation.service, settings, generation=lambda: generation) as listener,
        connection(listener.port) as (reader, writer),
    ):
        writer.write(get(INFER, "POST", **framing))
        answer = await read_answer(reader)
        assert (answer.status, answer.headers["connection"]) == (401, "close")
        async with asyncio.timeout(30):
            with contextlib.suppress(ConnectionError):
                while await reader.read(1):
                    pass


async def test_a_full_gateway_does_not_know_strangers() -> None:
    """Head, key, limits: whoever has no key does not learn how busy the gateway is."""
    generation = register()
    async with serving(generation.service, generation=lambda: generation, is_full=lambda: True) as listener:
        answers = []
        for key in ({}, KEY):
            async with connection(listener.port) as (reader, writer):
                writer.write(get(INFER, "POST", Content_Length="100", **key))
                answers.append((await read_answer(reader)).status)

    assert answers == [401, 503]


@pytest.mark.parametrize("path", [CALL, STREAM])
@pytest.mark.parametrize("metadata", [(), (("authorization", "Bearer wrong"),)])
async def test_a_stranger_calls_in_vain(path: str, metadata: tuple[tuple[str, str], ...]) -> None:
    """The status comes while the call waits for its first message, and is counted once."""
    telemetry = RecordingTelemetry()
    async with calling(telemetry=telemetry) as (channel, force):
        call = channel.stream_stream(path)(metadata=metadata)
        assert await asyncio.wait_for(call.code(), 10) is grpc.StatusCode.UNAUTHENTICATED

    assert refusals(telemetry) == STRANGER
    assert [event.code for event in telemetry.of(RequestFinished)] == ["unauthenticated"]
    assert force[0].service.requests == []


class Counted:
    """A check of callers that counts whom it looks at."""

    def __init__(self, generation: int = 7) -> None:
        self._check, self.credentials = register(generation).identify, []

    def __call__(self, caller: Caller) -> Caller:
        self.credentials.append(caller.credential)
        return self._check(caller)


async def test_a_head_that_repeats_is_identified_once_by_each_generation() -> None:
    """On one connection, over both protocols; a key that is not known any more is refused at once."""
    first, second = Counted(7), Counted(8)
    service = EchoService()
    force = [FakeGeneration(service, 7, first)]
    async with (
        serving(service, generation=lambda: force[-1]) as listener,
        connection(listener.port) as (reader, writer),
    ):
        statuses = []
        for number in range(6):
            if number == 3:
                force.append(FakeGeneration(service, 8, second))
            if number == 5:
                force.append(FakeGeneration(service, 9, register(9, routes=policy().routes).identify))
            writer.write(post(INFER, body(b"[5]"), **KEY))
            statuses.append((await read_answer(reader)).status)

    assert statuses == [200] * 6
    assert (len(first.credentials), len(second.credentials)) == (1, 1)
    assert {request.caller.tenant for request in service.requests} == {"acme"}
    assert not any(request.caller.credential for request in service.requests)


async def test_a_stream_ends_when_its_caller_is_not_known_any_more() -> None:
    """What was begun before is answered; then comes the status."""

    def nobody(_caller: Caller) -> Caller:
        raise GatewayError(Fault.UNAUTHENTICATED, "this key is not known")

    message = infer().SerializeToString()
    async with calling() as (channel, force):
        call = channel.stream_stream(STREAM)(metadata=tuple(KEY.items()))
        await call.write(message)
        assert b"r-1" in await call.read()
        force.append(FakeGeneration(force[0].service, 8, nobody))
        await call.write(message)
        assert await asyncio.wait_for(call.code(), 10) is grpc.StatusCode.UNAUTHENTICATED

    assert len(force[0].service.requests) == 1


async def test_a_key_that_is_withdrawn_while_the_body_comes() -> None:
    """The generation that answers must know the caller, whoever has let the head pass."""
    telemetry, force = RecordingTelemetry(), [register()]
    service = force[0].service
    sent = post(INFER, body(b"[5]"), **KEY)
    async with (
        serving(service, generation=lambda: force[-1], telemetry=telemetry) as listener,
        connection(listener.port) as (reader, writer),
    ):
        writer.write(sent[:-5])
        await asyncio.sleep(0.1)
        gone = policy(generation=8, tenants={"acme": msgspec.structs.replace(CLOSED["acme"], keys_sha256=())})
        force.append(FakeGeneration(service, 8, identify(gone, lambda _address: None)))
        writer.write(sent[-5:])
        answer = await read_answer(reader)

    assert (answer.status, answer.headers["x-edgeway-policy-generation"]) == (401, "8")
    assert refusals(telemetry) == STRANGER
    assert service.requests == []


# --- what is remembered


def body(data: bytes = b"[1]", **more: Any) -> bytes:
    tensor = {"name": "x", "shape": [1], "datatype": "UINT8", "data": msgspec.Raw(data)}
    return msgspec.json.encode({"inputs": [tensor], **more})


def binary(**more: Any) -> tuple[bytes, dict[str, str]]:
    tensor = {"name": "x", "shape": [4], "datatype": "UINT8", "parameters": {"binary_data_size": 4}}
    head = msgspec.json.encode({"inputs": [tensor], "parameters": {"note": "of acme"}, **more})
    return head + b"data", {"inference-header-content-length": str(len(head))}


TENANTS = {
    "umbrella": Tenant(residency="anywhere"),
    "acme": Tenant(residency="anywhere"),
    "clinic": Tenant(residency="eu-only"),
}


class Remembering:
    """A listener before a cache, in a region; it counts how often a body is decoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, service: Any = None, region: str = "eu-west") -> None:
        self.decoded = 0
        for module in (reuse, oip_proto):
            monkeypatch.setattr(module, "decode_request", self._counting(module.decode_request))
        check = identify(policy(tenants=TENANTS), lambda _address: None, 1)
        caching = stack(*cache_of(RecordingTelemetry()).filters(), service=service or EchoService())
        self.generation = Generation(3, caching, identify=check, serial=1)
        data_plane = fake_data_plane(caching, generation=lambda: self.generation, region=region)
        self.rest = Wire(RestApplication(data_plane))
        self.grpc = Wire(GrpcApplication(data_plane), is_http2=True)

    def _counting(self, decode: Any) -> Any:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.decoded += 1
            return decode(*arguments, **named)

        return counted

    async def ask(self, tenant: str, sent: bytes, path: str = INFER, **headers: str) -> int:
        """Ask over HTTP; return how often something was decoded."""
        before = self.decoded
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        await self.rest.ask("POST", path, sent, {"x-edgeway-tenant": tenant, **headers})
        return self.decoded - before

    async def call(self, tenant: str, message: Any, path: str = CALL) -> int:
        """The same over gRPC."""
        before = self.decoded
        headers = {**GRPC, "x-edgeway-tenant": tenant}
        await self.grpc.ask("POST", path, framed(message), headers)
        return self.decoded - before


KINDS: dict[str, tuple[bytes, dict[str, str]]] = {
    "json": (body(), {}),
    "json with parameters": (body(parameters={"note": "of acme"}), {}),
    "compressed json": (gzip.compress(body()), {"content_encoding": "gzip"}),
    "binary": binary(),
    "compressed binary": (gzip.compress(binary()[0]), {**binary()[1], "content_encoding": "gzip"}),
}
ANY_KIND = pytest.mark.parametrize("kind", KINDS)


@ANY_KIND
async def test_only_its_own_tenant_profits(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What acme has asked often is as new from umbrella as if nobody had; and from acme elsewhere."""
    world, (sent, headers) = Remembering(monkeypatch), KINDS[kind]
    for _ in range(4):
        last = await world.ask("acme", sent, **headers)
    assert last == 0

    assert await world.ask("umbrella", sent, **headers) == 1
    assert await world.ask("clinic", sent, **headers) == 1
    assert await world.ask("nobody", sent, **headers) == 0


async def test_over_grpc_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads of messages, in single calls and in streams."""
    for path in (CALL, STREAM):
        world = Remembering(monkeypatch)
        message = infer(note=5)
        assert [await world.call("acme", message, path) for _ in range(3)] == [1, 0, 0]

        assert await world.call("umbrella", message, path) == 1
        assert await world.call("nobody", message, path) == 0


@ANY_KIND
async def test_nothing_is_remembered_where_residency_forbids(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even if the stack had the answer here: clinic is eu-only, and this is us-east."""
    world, (sent, headers) = Remembering(monkeypatch, region="us-east"), KINDS[kind]

    assert [await world.ask("clinic", sent, **headers) for _ in range(5)] == [1] * 5
    assert [await world.call("clinic", infer()) for _ in range(3)] == [1] * 3


@ANY_KIND
async def test_nothing_is_remembered_of_what_failed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is not there, a tier that is down: whoever asks so learns nothing of others, nor of itself."""
    failing = ScriptedService(GatewayError(Fault.NOT_FOUND, "no such model"))
    world, (sent, headers) = Remembering(monkeypatch, failing), KINDS[kind]

    assert [await world.ask("acme", sent, **headers) for _ in range(4)] == [1] * 4
    assert [await world.call("acme", infer()) for _ in range(3)] == [1] * 3


async def test_a_body_is_remembered_only_once_its_answer_was_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answer is computed, the second is found in memory: what the cache keeps, this may keep."""
    world = Remembering(monkeypatch)

    assert [await world.ask("acme", body()) for _ in range(4)] == [1, 1, 0, 0]


async def test_another_policy_begins_with_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was allowed under the last one may be forbidden under this."""
    world = Remembering(monkeypatch)
    for _ in range(3):
        await world.ask("acme", body())
    strict = {**TENANTS, "acme": TENANTS["clinic"]}
    check = identify(policy(generation=4, tenants=strict), lambda _address: None, 2)
    world.generation = Generation(4, world.generation.stack, identify=check, serial=2)

    assert await world.ask("acme", body()) == 1
