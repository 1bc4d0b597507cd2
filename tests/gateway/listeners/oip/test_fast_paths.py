"""Fast paths: requests that are compared instead of read get the answers that reading would have given."""

from __future__ import annotations

import asyncio
import gc
import gzip
import tracemalloc
import weakref
from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.cache_events import CacheLookedUp
from gateway.core.errors import Fault, GatewayError
from gateway.core.partitions import Partition
from gateway.core.request import Caller, Request, Response
from gateway.core.service import FastPath, Pending, Service, fast_path
from gateway.core.telemetry import RequestFinished
from gateway.http.exchange import Answer, Head
from gateway.listeners.oip import fast_paths
from gateway.listeners.oip.grpc.application import GrpcApplication
from gateway.listeners.oip.request_headers import OipRequestHeaders
from gateway.listeners.oip.rest.application import RestApplication
from gateway.telemetry.measure import Measure
from gateway.telemetry.provenance import ProvenanceParameters
from gateway.wire.grpc_framing import frame
from gateway.wire.oip.reuse import Layout
from gateway.wire.proto import messages
from resilience.admission import Admission, Seats
from resilience.deadline import Deadline
from resilience.drain import Drain
from resilience.settings import AdmissionSettings
from tests.cache.build import StepClock, cache_of
from tests.fakes.data_plane import EchoService, fake_data_plane
from tests.fakes.exchange import Reply, read, stepped
from tests.fakes.service import request
from tests.fakes.stack import stack
from tests.fakes.telemetry import RecordingTelemetry

INFER = "/v2/models/digits/infer"
CALL = f"/{messages.SERVICE}/ModelInfer"


class Clock(StepClock):
    def tick(self) -> float:
        return 0.0


class Counted:
    """A generation of ``service`` that counts the calls which take the long way, and the fast paths built."""

    def __init__(
        self,
        service: Service,
        number: int = 7,
        *,
        has_path: bool = True,
        identify: Callable[[Caller], Caller] = copy,
    ) -> None:
        self.service, self.has_path, self.identify = service, has_path, identify
        self.number = self.serial = number
        self.routed_headers: frozenset[str] = frozenset()
        self.calls = self.paths = 0

    def __call__(self, request: Request) -> Response | Pending:
        self.calls += 1
        return self.service(request)

    def fast_path(self, like: Request) -> FastPath | None:
        self.paths += 1
        return fast_path(self.service, like) if self.has_path else None


class Failing(Counted):
    """A generation whose fast paths fail as nobody expects."""

    def fast_path(self, like: Request) -> FastPath | None:
        def path(_data: object) -> Response | None:
            raise ZeroDivisionError(like.model)

        return path


class World:
    """An application over a stack with everything that has a fast path."""

    def __init__(self, *, is_rpc: bool = False, has_path: bool = True, **cache: Any) -> None:
        self.clock, self.telemetry, self.model = Clock(), RecordingTelemetry(), EchoService()
        self.seats, self.drain = Seats(8), Drain()
        self.cache = cache_of(self.telemetry, clock=self.clock, **cache)
        self.has_path = has_path
        self.generation = self.built(7)
        data_plane = fake_data_plane(
            self.generation,
            generation=lambda: self.generation,
            telemetry=self.telemetry,
            make_request_id=lambda: b"made-1",
        )
        self.application = GrpcApplication(data_plane) if is_rpc else RestApplication(data_plane)

    def built(self, number: int) -> Counted:
        door = Admission(self.identify, self.seats, AdmissionSettings(), self.telemetry)
        service = stack(
            ProvenanceParameters("eu-west", number),
            Measure(self.clock, self.telemetry),
            self.drain,
            door,
            Deadline(15.0, self.clock),
            *self.cache.filters(),
            service=self.model,
        )
        return Counted(service, number, has_path=self.has_path, identify=self.identify)

    @staticmethod
    def identify(caller: Caller) -> Caller:
        if caller.tenant == "banned":
            raise GatewayError(Fault.UNAUTHENTICATED, "send a valid key")
        return caller

    async def ask(self, head: Head, body: bytes) -> Reply:
        opened = self.application.open(head)
        if isinstance(opened, Answer):
            return await read(opened, waited=False)
        answer, waited = await stepped(self.application.answer(head, body))
        return await read(answer, waited=waited)

    async def taught(self, head: Head, body: bytes) -> Reply:
        """Ask until the series is known; return the last answer that took the long way."""
        for _ in range(4):
            reply = await self.ask(head, body)
        return reply


def rest_head(body_head: bytes, **more: str) -> Head:
    headers = [("host", "test"), ("inference-header-content-length", str(len(body_head)))]
    return Head("POST", INFER, (*headers, *more.items()), "127.0.0.1")


def rest_prefix(size: int = 8, **fields: Any) -> bytes:
    tensor = {"name": "x", "datatype": "UINT8", "shape": [size], "parameters": {"binary_data_size": size}}
    return msgspec.json.encode({"inputs": [tensor], "parameters": {"binary_data_output": True}, **fields})


def rpc_head(**more: str) -> Head:
    headers = [("host", "test"), ("content-type", "application/grpc"), ("te", "trailers"), *more.items()]
    return Head("POST", CALL, tuple(headers), "127.0.0.1", is_http2=True)


def rpc_body(*data: bytes, **fields: Any) -> bytes:
    message = messages.ModelInferRequest(model_name="digits", **fields)
    for number, raw in enumerate(data):
        message.inputs.add(name=f"x{number}", datatype="UINT8", shape=[len(raw)])
        message.raw_input_contents.append(raw)
    return b"".join(frame([message.SerializeToString()]))


PREFIX = rest_prefix()
HEAD = rest_head(PREFIX)


def sent(kind: str, data: bytes, head: Head | None = None) -> tuple[Head, bytes]:
    if kind == "rpc":
        return head or rpc_head(), rpc_body(data)
    if kind == "json":
        tensor = {"name": "x", "datatype": "UINT8", "shape": [len(data)], "data": list(data)}
        return head or Head("POST", INFER, (("host", "test"),), "127.0.0.1"), msgspec.json.encode(
            {"inputs": [tensor]}
        )
    prefix = rest_prefix(len(data))
    return head or rest_head(prefix), prefix + data


KINDS = pytest.mark.parametrize("kind", ["binary", "json", "rpc"])


@KINDS
async def test_a_series_is_compared_instead_of_read(kind: str) -> None:
    """Once known, hits take the fast path; answers and events are those of the call."""
    world = World(is_rpc=kind == "rpc")
    head, body = sent(kind, b"01234567")
    taught = await world.taught(head, body)
    calls, world.telemetry.events[:] = world.generation.calls, []

    reply = await world.ask(head, body)

    assert world.generation.calls == calls
    assert reply == taught
    assert reply.headers.get("x-edgeway-provenance") == taught.headers.get("x-edgeway-provenance")
    assert world.telemetry.events == [
        CacheLookedUp("l1", "hit"),
        RequestFinished("digits", "l1", "ok", 0.0, "1", "anonymous"),
    ]


@pytest.mark.parametrize("kind", ["binary", "rpc"])
async def test_other_data_gets_another_answer(kind: str) -> None:
    """What is not in the cache takes the call, is counted as one miss, and never gets a neighbour's answer."""
    world = World(is_rpc=kind == "rpc")
    head, body = sent(kind, b"01234567")
    await world.taught(head, body)
    calls, world.telemetry.events[:] = world.generation.calls, []

    reply = await world.ask(head, sent(kind, b"76543210")[1])

    assert b"76543210" in reply.body
    assert world.generation.calls == calls + 1
    assert world.telemetry.of(CacheLookedUp) == [CacheLookedUp("l1", "miss")]
    assert len(world.telemetry.of(RequestFinished)) == 1


@KINDS
async def test_a_new_generation_is_asked_anew(kind: str) -> None:
    """A policy change ends every fast path of the old policy."""
    world = World(is_rpc=kind == "rpc")
    head, body = sent(kind, b"01234567")
    await world.taught(head, body)
    world.generation = world.built(8)

    reply = await world.ask(head, body)

    assert world.generation.calls == 1
    more = reply.trailers if kind == "rpc" else reply.headers
    assert more["x-edgeway-policy-generation"] == "8"
    await world.ask(head, body)
    calls = world.generation.calls
    assert (await world.ask(head, body)).status == 200
    assert world.generation.calls == calls


@KINDS
async def test_a_full_gateway_refuses(kind: str) -> None:
    """The fast path is closed while there is no seat: the call refuses, and counts the refusal."""
    world = World(is_rpc=kind == "rpc")
    head, body = sent(kind, b"01234567")
    await world.taught(head, body)
    world.seats.taken = world.seats.limit

    reply = await world.ask(head, body)

    assert reply.trailers.get("grpc-status") == "8" if kind == "rpc" else reply.status == 503


@KINDS
async def test_a_failure_of_a_fast_path_has_one_id(kind: str, caplog) -> None:
    """The log names the request as its answer does."""
    world = World(is_rpc=kind == "rpc")
    world.generation = Failing(world.generation.service)
    head, body = sent(kind, b"01234567")
    await world.taught(head, body)

    failed, _ = await stepped(world.application.answer(head, body))

    assert failed.request_id == b"made-1"
    assert "request made-1 failed unexpectedly" in caplog.text


@KINDS
async def test_an_expired_answer_is_not_given(kind: str) -> None:
    """Close to and past their expiry, answers are the business of the call."""
    world = World(is_rpc=kind == "rpc", ttl_s=100.0)
    head, body = sent(kind, b"01234567")
    await world.taught(head, body)
    world.clock.step(1000.0)
    computed = len(world.model.requests)

    assert (await world.ask(head, body)).status == 200
    assert len(world.model.requests) == computed + 1


async def test_tenants_do_not_share() -> None:
    """A series belongs to what the whole head says: another tenant's does not find its answers."""
    world = World()
    mine, theirs = (rest_head(PREFIX, **{"x-edgeway-tenant": tenant}) for tenant in ("acme", "globex"))
    await world.taught(mine, PREFIX + b"01234567")

    await world.ask(theirs, PREFIX + b"01234567")

    assert [request.caller.tenant for request in world.model.requests] == ["acme", "globex"]


async def test_connections_share_a_series() -> None:
    """The same head on another connection is another object, and leads to the same path."""
    world = World()
    for _ in range(3):
        await world.taught(rest_head(PREFIX), PREFIX + b"01234567")

    assert world.generation.paths == 1


HEADERS = OipRequestHeaders(
    Caller(), 0, None, Partition(7, "anonymous", ""), (), (), (), None, None, None, None, None, None
)


def learn(series: fast_paths.FastPaths, head: Head, layout: Layout, generation: Counted) -> None:
    """Show a layout often enough for it to become a series."""
    for _ in range(4):
        series.learn(
            head, partial(copy, layout), request(), headers=HEADERS, generation=generation, write=str
        )


def test_the_number_of_series_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that varies what it sends displaces the oldest."""
    monkeypatch.setattr(fast_paths, "SERIES_BYTES", 15_000)
    series, generation = fast_paths.FastPaths(), World().generation
    for size in range(1, 8):
        learn(series, Head("POST", INFER, ()), Layout(b"head", 4 + size, ((4, 4 + size),)), generation)

    assert len(series) == 3


def test_what_the_series_keep_is_bounded() -> None:
    """Bodies that are all JSON are kept whole, with their data: not for as long as their heads are."""
    series, generation = fast_paths.FastPaths(), World().generation
    heads = []
    tracemalloc.start()
    try:
        for number in range(200):
            layout = Layout(number.to_bytes(4) + bytes(60_000), 60_004, (), (bytes(160_000),))
            heads.append(Head("POST", INFER, ()))
            learn(series, heads[-1], layout, generation)
        del layout
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert all(len(head.notes) == 2 for head in heads)
    assert kept < fast_paths.SERIES_BYTES + (2 << 20)


@KINDS
async def test_an_old_generation_is_let_go(kind: str) -> None:
    """Heads of idle connections do not keep the stacks of a policy that is no longer in force."""
    world = World(is_rpc=kind == "rpc")
    head, body = sent(kind, b"01234567")
    await world.taught(head, body)
    old = weakref.ref(world.generation)
    world.generation = world.built(8)
    await world.taught(*sent(kind, b"0123"))
    for _ in range(100):
        # Nothing is collected by one of these while another thread of the test runner collects.
        gc.collect()
        if old() is None:
            break
        await asyncio.sleep(0.01)

    assert old() is None, gc.get_referrers(old())
    assert (await world.ask(head, body)).status == 200


@pytest.mark.parametrize("kind", ["binary", "rpc"])
async def test_a_small_series_outlives_its_place(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More clients than there are places do not take each other's paths away."""
    monkeypatch.setattr(fast_paths, "SERIES_BYTES", 6000)
    world = World(is_rpc=kind == "rpc")
    head, body = sent(kind, b"01234567")
    await world.taught(head, body)
    await world.taught(*sent(kind, b"0123"))
    calls = world.generation.calls

    assert (await world.ask(head, body)).status == 200
    assert world.generation.calls == calls


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(rest_prefix(id="7") + b"01234567", id="an id of its own"),
        pytest.param(
            rest_prefix(parameters={"edgeway_provenance": True}) + b"01234567", id="asks what is told"
        ),
    ],
)
async def test_what_has_no_fast_path(body: bytes) -> None:
    """Each of these is for the call to look at, every time."""
    world = World()
    head = rest_head(body[:-8])

    for number in range(6):
        await world.ask(head, body)
        assert world.generation.calls == number + 1


def classified(kind: str, count: int) -> tuple[Head, bytes]:
    """A request for the ``count`` highest elements of its output."""
    data = b"01234567"
    if kind == "binary":
        outputs = [{"name": "x", "parameters": {"classification": count}}]
        prefix = msgspec.json.encode({**msgspec.json.decode(rest_prefix()), "outputs": outputs})
        return rest_head(prefix), prefix + data
    message = messages.ModelInferRequest.FromString(rpc_body(data)[5:])
    message.outputs.add(name="x0").parameters["classification"].int64_param = count
    return rpc_head(), b"".join(frame([message.SerializeToString()]))


@pytest.mark.parametrize("kind", ["binary", "rpc"])
async def test_classes_are_those_of_the_series(kind: str) -> None:
    """Series that want other classes are other series, also where the data is the same."""
    world = World(is_rpc=kind == "rpc")
    series = [classified(kind, count) for count in (1, 2, 3)]
    taught = [await world.taught(head, body) for head, body in series]
    calls = world.generation.calls

    replies = [await world.ask(head, body) for head, body in series]

    assert [reply.body for reply in replies] == [reply.body for reply in taught]
    assert all(b"55:7" in reply.body for reply in replies)
    assert len({reply.body for reply in replies}) == 3
    assert world.generation.calls == calls


async def test_compressed_bodies_are_read() -> None:
    """How a body looks before it is inflated says nothing."""
    world = World()
    head = rest_head(PREFIX, **{"content-encoding": "gzip"})
    for number in range(6):
        assert (await world.ask(head, gzip.compress(PREFIX + b"01234567"))).status == 200
        assert world.generation.calls == number + 1


async def test_two_inputs_have_a_path_over_rest_and_none_over_grpc() -> None:
    """Tags stand between the raw inputs of a gRPC message, so that it has to be read."""
    rpc = World(is_rpc=True)
    head, body = rpc_head(), rpc_body(b"0123", b"4567")
    for number in range(6):
        await rpc.ask(head, body)
        assert rpc.generation.calls == number + 1

    tensors = [
        {"name": name, "datatype": "UINT8", "shape": [4], "parameters": {"binary_data_size": 4}}
        for name in ("b", "a")
    ]
    prefix = msgspec.json.encode({"inputs": tensors, "parameters": {"binary_data_output": True}})
    world, head = World(), rest_head(prefix)
    taught = await world.taught(head, prefix + b"01234567")
    calls = world.generation.calls
    assert await world.ask(head, prefix + b"01234567") == taught
    assert world.generation.calls == calls
    assert b"45670123" in (await world.ask(head, prefix + b"45670123")).body


async def test_a_caller_who_is_no_longer_known_is_told_so() -> None:
    """A path that cannot be had is no error of the request that it was wanted for."""
    world = World()
    await world.taught(HEAD, PREFIX + b"01234567")
    head = rest_head(PREFIX, **{"x-edgeway-tenant": "acme"})
    await world.ask(head, PREFIX + b"01234567")
    await world.ask(head, PREFIX + b"01234567")
    world.identify = lambda _: (_ for _ in ()).throw(GatewayError(Fault.UNAUTHENTICATED, "no"))
    world.generation = world.built(8)

    assert (await world.ask(head, PREFIX + b"01234567")).status == 401


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["binary", "binary", "binary", "json", "tenant", "wait", "policy", "full", "free"]),
        st.sampled_from([b"01234567", b"76543210", b"0123"]),
    ),
    max_size=40,
)


@given(steps=STEPS)
@settings(max_examples=60, deadline=None)
async def test_with_and_without_fast_paths_all_is_the_same(steps: list[tuple[str, bytes]]) -> None:
    """Whatever is asked in whatever order, answers and events are those of a gateway that reads all."""
    worlds = World(ttl_s=100.0), World(ttl_s=100.0, has_path=False)
    heads: dict[tuple[str, int], Head] = {}
    for what, data in steps:
        replies = []
        for world in worlds:
            if what == "wait":
                world.clock.step(60.0)
            elif what == "policy":
                world.generation = world.built(world.generation.number + 1)
            elif what in {"full", "free"}:
                world.seats.taken = world.seats.limit if what == "full" else 0
            else:
                kind = "json" if what == "json" else "binary"
                head, body = sent(kind, data)
                if what == "tenant":
                    head = rest_head(rest_prefix(len(data)), **{"x-edgeway-tenant": "acme"})
                head = heads.setdefault((what, len(data), id(world)), head)
                replies.append(await world.ask(head, body))
        assert replies[:1] == replies[1:]
        assert worlds[0].telemetry.events == worlds[1].telemetry.events
