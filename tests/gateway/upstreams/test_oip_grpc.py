"""The gRPC upstream against real servers: ours, foreign ones, broken ones and none at all."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from gateway.core.catalog import Catalog
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller, Provenance, Request
from gateway.core.tensor import Tensor
from gateway.upstreams.oip_grpc import GrpcUpstream
from gateway.upstreams.settings import GrpcUpstreamSettings
from gateway.wire.proto import messages
from resilience.attempt import AttemptTimeout
from tests.fakes.data_plane import DIGITS, EchoService, FakeCatalog, fake_data_plane
from tests.fakes.http2_peer import http2_peer
from tests.fakes.listener import listener_of
from tests.fakes.redis_server import free_port
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.upstreams import (
    aborting,
    before,
    fails,
    flags,
    foreign_grpc,
    grpc_upstream,
    grpc_upstream_to,
    until,
)


async def test_request_and_answer_pass_through():
    """The other side sees the request as it was sent; the answer comes back whole, with its provenance."""
    provenance = Provenance("edge", certified=False, level="l2", stale=True, digest="sha256:00ff")
    service = EchoService(provenance)
    words = Tensor.from_numpy("words", np.array([b"a", b""], object))
    sent = request(2.0, id="r-1", version="1", outputs=("image",), parameters={"priority": 1})
    sent = Request(**{**fields(sent), "inputs": (*sent.inputs, words)})

    async with before(grpc_upstream_to, service) as upstream:
        response = await upstream(sent)

    assert service.last.inputs == sent.inputs
    assert (service.last.model, service.last.version, service.last.id) == ("digits", "1", "r-1")
    assert (service.last.outputs, dict(service.last.parameters)) == (("image",), {"priority": 1})
    assert (response.model, response.version) == ("digits", "1")
    assert response.outputs == sent.inputs[:1]
    assert response.provenance == Provenance(
        "edge", certified=False, level="l2", stale=True, region="eu-west", digest="sha256:00ff"
    )


def fields(sent: Request) -> dict[str, Any]:
    return {name: getattr(sent, name) for name in Request.__slots__}


REGIONS = frozenset({"eu-west", "eu-north"})


async def test_who_asks_travels_with_the_request():
    """Client address, tenant, hops, regions, trace and what is left of the deadline reach the other gateway."""
    service = EchoService()
    caller = Caller(address="203.0.113.9", tenant="clinic", credential="Bearer secret")
    now = asyncio.get_running_loop().time()
    sent = request(
        caller=caller, hops=1, trace=(("traceparent", "00-ab-cd-01"),), deadline=now + 20, regions=REGIONS
    )

    async with before(grpc_upstream_to, service) as upstream:
        await upstream(sent)

    seen = service.last
    assert (seen.caller.address, seen.caller.tenant, seen.hops) == ("203.0.113.9", "clinic", 2)
    assert (seen.caller.credential, seen.regions) == ("", REGIONS)
    assert seen.trace == (("traceparent", "00-ab-cd-01"),)
    assert seen.deadline == pytest.approx(now + 20, abs=1)


async def test_an_unknown_caller_has_no_headers():
    """A request without tenant or deadline arrives without them; an unknown address stays unknown."""
    service = EchoService()
    async with before(grpc_upstream_to, service) as upstream:
        await upstream(request())

    assert (service.last.caller.address, service.last.caller.tenant) == ("", "anonymous")
    assert service.last.regions is None
    assert service.last.deadline == math.inf


async def test_name_that_no_header_can_carry_is_refused():
    """A tenant outside of printable ASCII is a clear error before anything is sent."""
    service = EchoService()
    async with before(grpc_upstream_to, service) as upstream:
        error = await fails(upstream(request(caller=Caller(tenant="klinik-ü"))))
        await upstream(request())

    assert error.message == "x-edgeway-tenant must be printable ASCII"
    assert error.unsent
    assert flags(error) == (Fault.INVALID, False, False)
    assert len(service.requests) == 1


async def test_foreign_servers_count_as_central():
    """A server that is no Edgeway is central, certified, and in the region that the policy names."""

    async def method(body: bytes, _context: Any) -> bytes:
        incoming = messages.ModelInferRequest.FromString(body)
        message = messages.ModelInferResponse(model_name=incoming.model_name, model_version="3")
        message.outputs.add(name="y", datatype="FP32", shape=[1]).contents.fp32_contents.append(0.5)
        encoded: bytes = message.SerializeToString()
        return encoded

    async with foreign_grpc(method, region="us-east") as upstream:
        response = await upstream(request())

    assert response.provenance == Provenance("central", region="us-east")
    assert response.outputs[0].numpy().tolist() == [0.5]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, (Fault.UNAVAILABLE, True, True)),
        (grpc.StatusCode.CANCELLED, (Fault.UNAVAILABLE, False, False)),
        (grpc.StatusCode.DEADLINE_EXCEEDED, (Fault.DEADLINE, True, True)),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, (Fault.OVERLOADED, True, False)),
        (grpc.StatusCode.INTERNAL, (Fault.INTERNAL, False, True)),
        (grpc.StatusCode.UNKNOWN, (Fault.INTERNAL, False, True)),
        (grpc.StatusCode.DATA_LOSS, (Fault.INTERNAL, False, True)),
    ],
)
async def test_failures_of_the_other_side_carry_their_flags(code, expected):
    """Its failures count against it, overload does not, and its words about itself stay inside."""
    async with foreign_grpc(aborting(code, "at 10.0.0.7:8001 in /srv/model")) as upstream:
        error = await fails(upstream(request()))

    assert flags(error) == expected
    assert error.message.startswith("endpoint 'far' ")
    assert "10.0.0.7" not in error.message


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, Fault.INVALID),
        (grpc.StatusCode.OUT_OF_RANGE, Fault.INVALID),
        (grpc.StatusCode.NOT_FOUND, Fault.NOT_FOUND),
        (grpc.StatusCode.UNIMPLEMENTED, Fault.UNSUPPORTED),
    ],
)
async def test_faults_of_the_client_are_passed_on_in_words(code, fault):
    """What the client did wrong is told in the other side's words, and counts against nobody."""
    async with foreign_grpc(aborting(code, "no such thing")) as upstream:
        error = await fails(upstream(request()))

    assert flags(error) == (fault, False, False)
    assert error.message == "no such thing"


async def test_words_of_the_other_side_are_bounded():
    """A foreign message is cut at 200 characters and holds printable ones only."""
    async with foreign_grpc(aborting(grpc.StatusCode.NOT_FOUND, "a\n\x1b" + "é" * 500)) as upstream:
        error = await fails(upstream(request()))
    async with foreign_grpc(aborting(grpc.StatusCode.NOT_FOUND)) as silent:
        wordless = await fails(silent(request()))

    assert error.message.startswith("a??é")
    assert len(error.message) == 200
    assert wordless.message == "endpoint 'far' refused the request"


@pytest.mark.parametrize(("retry_after", "seconds"), [("3", 3.0), ("soon", None), ("", None)])
async def test_overload_has_the_time_to_come_again(retry_after, seconds):
    """The other side's retry-after is kept when it is a number of seconds."""
    trailing = (("retry-after", retry_after), ("x-bin", b"\x00")) if retry_after else ()
    async with foreign_grpc(aborting(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", trailing)) as upstream:
        error = await fails(upstream(request()))

    assert error.retry_after_s == seconds


async def test_message_above_a_limit_is_not_overload():
    """A request above the other side's limit, and an answer above ours, would be again: no evidence."""
    async with before(grpc_upstream_to, EchoService(), max_body_bytes=64) as upstream:
        sent = await fails(upstream(request(id="x" * 200)))

    async def method(_body: bytes, _context: Any) -> bytes:
        return bytes(4096)

    async with foreign_grpc(method, max_message_bytes=1024) as upstream:
        received = await fails(upstream(request()))

    assert flags(sent) == (Fault.INVALID, False, False)
    assert flags(received) == (Fault.TOO_LARGE, False, False)
    assert "larger than 1024 bytes" in received.message


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xff",
        messages.ModelInferResponse(
            outputs=[{"name": "y", "datatype": "FP32", "shape": [2]}], raw_output_contents=[b"123"]
        ).SerializeToString(),
    ],
    ids=["no message", "wrong size"],
)
async def test_answer_that_breaks_the_protocol_counts_against_its_sender(body):
    """Garbage from the other side is its failure and never the client's mistake."""

    async def method(_body: bytes, _context: Any) -> bytes:
        return body

    async with foreign_grpc(method) as upstream:
        error = await fails(upstream(request()))

    assert flags(error) == (Fault.UNAVAILABLE, True, True)
    assert "not as the protocol has it" in error.message


async def test_nobody_there_is_unavailable_at_once():
    """A closed port is a failure of the endpoint, told without waiting and without its address."""
    async with grpc_upstream(free_port()) as upstream:
        async with asyncio.timeout(30):
            error = await fails(upstream(request()))

    assert flags(error) == (Fault.UNAVAILABLE, True, True)
    assert error.message == "endpoint 'far' is unavailable: connection refused"


async def test_server_that_comes_back_is_found_soon():
    """After refused connections the next server on the port is used within the back-off."""
    port = free_port()
    async with grpc_upstream(port) as upstream:
        await fails(upstream(request()))
        listener = listener_of(fake_data_plane(EchoService()))
        await listener.start("127.0.0.1", port)

        found_after = 0
        async with asyncio.timeout(30):
            while True:
                found_after += 1
                try:
                    response = await upstream(request())
                    break
                except GatewayError as error:
                    assert flags(error) == (Fault.UNAVAILABLE, True, True)
                    await asyncio.sleep(0.02)

    await listener.aclose()
    assert response.model == "digits"
    assert found_after <= 50


async def test_callers_own_deadline_is_no_evidence():
    """When the caller's time is up the endpoint is not blamed; the work there is cancelled."""
    service = ScriptedService(HANG)
    now = asyncio.get_running_loop().time
    async with before(grpc_upstream_to, service) as upstream:
        error = await fails(upstream(request(deadline=now() + 0.05)))
        late = await fails(upstream(request(deadline=now() - 1)))
        await until(lambda: service.running == 0)

    assert flags(error) == flags(late) == (Fault.DEADLINE, False, False)
    assert len(service.requests) == 1


async def test_layer_that_set_the_deadline_judges_it():
    """grpc's timer runs a little longer than that of AttemptTimeout, which knows what its own one means."""
    service, echo = ScriptedService(HANG), EchoService()
    async with before(grpc_upstream_to, service) as upstream:
        attempt = AttemptTimeout(0.02, LoopClock())
        errors = [await fails(attempt(request(), upstream)) for _ in range(10)]
        await until(lambda: service.running == 0)
    async with before(grpc_upstream_to, echo) as upstream:
        deadline = asyncio.get_running_loop().time() + 0.5
        await upstream(request(deadline=deadline))

    assert [flags(error) for error in errors] == [(Fault.DEADLINE, True, True)] * 10
    assert 0.02 < echo.last.deadline - deadline < 0.2


async def test_leaving_caller_cancels_the_work_there():
    """Cancelling a call cancels it on the other side and leaves the upstream ready for the next."""
    service = ScriptedService(HANG, answer())
    async with before(grpc_upstream_to, service) as upstream:
        call = asyncio.ensure_future(upstream(request()))
        await until(lambda: service.running == 1)
        assert repr(upstream).endswith("open, 1 running>")

        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: service.running == 0)

        assert repr(upstream).endswith("open, 0 running>")
        assert (await upstream(request())).model == "digits"


async def test_closing_ends_calls_with_a_fault():
    """Calls under way, and later ones, become retryable faults that count against nobody."""
    service = ScriptedService(HANG)
    async with before(grpc_upstream_to, service) as upstream:
        call = asyncio.ensure_future(upstream(request()))
        await until(lambda: service.running == 1)

        await upstream.aclose()
        ended = await fails(call)
        later = await fails(upstream(request()))

        assert flags(ended) == flags(later) == (Fault.UNAVAILABLE, True, False)
        assert repr(upstream).endswith("closed, 0 running>")


async def test_catalogue_of_the_other_side():
    """Metadata and readiness are those that the other side tells."""
    catalog = FakeCatalog(DIGITS)
    async with before(grpc_upstream_to, EchoService(), catalog=catalog) as upstream:
        remote: Catalog = upstream

        assert await remote.describe("digits", "1") == DIGITS
        assert await remote.is_ready("digits", "")
        assert not await remote.is_ready("unknown", "")
        assert (await fails(remote.describe("unknown", ""))).fault is Fault.NOT_FOUND


async def test_metadata_that_would_hold_the_loop_are_not_read():
    """As over HTTP."""
    body = messages.ModelMetadataResponse(name="m", platform="x" * (256 << 10)).SerializeToString()

    async def play(*_: Any) -> bytes:
        return body

    async with foreign_grpc(play) as upstream:
        error = await fails(upstream.describe("m", ""))

    assert error.why is not None and (error.why.reason, error.why.answered) == ("protocol", True)


async def test_model_of_a_server_that_cannot_be_reached_is_not_ready():
    """Readiness is about now: nobody there means not ready; an unknown model stays an error."""
    async with grpc_upstream(free_port()) as nobody:
        assert not await nobody.is_ready("digits", "")
    async with foreign_grpc(aborting(grpc.StatusCode.NOT_FOUND, "no")) as upstream:
        assert (await fails(upstream.is_ready("digits", ""))).fault is Fault.NOT_FOUND


async def test_many_calls_share_one_connection():
    """Concurrent calls get their own answers."""
    async with before(grpc_upstream_to, EchoService()) as upstream:
        answers = await asyncio.gather(*(upstream(request(float(number))) for number in range(64)))

    assert [response.outputs[0].numpy()[0, 0] for response in answers] == list(range(64))


ANSWER = messages.ModelInferResponse(
    model_name="m", outputs=[{"name": "y", "datatype": "INT8", "shape": [1]}], raw_output_contents=[b"1"]
).SerializeToString()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (2, (Fault.UNAVAILABLE, True, True)),
        (7, (Fault.UNAVAILABLE, True, False)),
        (8, (Fault.UNAVAILABLE, True, True)),
        (11, (Fault.OVERLOADED, True, False)),
    ],
)
async def test_streams_that_end_without_an_answer(code, expected):
    """A reset stands for a status; a refusal says that nothing was done, which is no evidence."""
    async with http2_peer(lambda call: call.reset(code)) as peer, grpc_upstream(peer.port) as upstream:
        error = await fails(upstream(request()))

    assert flags(error) == expected


async def test_a_head_above_our_own_limit():
    """It ends the connection, for all calls on it: each may be tried again, and nobody is blamed."""
    huge = [(b":status", b"200"), (b"x", b"a" * 9000)]
    settings = GrpcUpstreamSettings(max_head_bytes=4096)
    async with http2_peer(lambda call: call.answer(headers=huge)) as peer:
        async with grpc_upstream(peer.port, settings=settings) as upstream:
            error = await fails(upstream(request()))

    assert flags(error) == (Fault.UNAVAILABLE, True, False)
    assert "max_head_bytes" in error.message


async def test_the_headers_of_a_call():
    """The path, the time that is left in a form of eight digits, and that nothing is to be compressed."""
    deadline = asyncio.get_running_loop().time() + 2

    async with (
        http2_peer(lambda call: call.answer(ANSWER)) as peer,
        grpc_upstream(peer.port) as upstream,
    ):
        await upstream(request(deadline=deadline, hops=1))
        received = peer.calls[0].headers
        await upstream(request())

    assert received[b":path"] == b"/inference.GRPCInferenceService/ModelInfer"
    assert (received[b":scheme"], received[b":authority"]) == (b"http", f"127.0.0.1:{peer.port}".encode())
    assert (received[b"te"], received[b"content-type"]) == (b"trailers", b"application/grpc")
    assert (received[b"grpc-accept-encoding"], received[b"user-agent"]) == (b"identity", b"edgeway")
    assert received[b"x-edgeway-hops"] == b"2"
    assert 1_900_000 < int(received[b"grpc-timeout"][:-1]) <= 2_050_000
    assert b"grpc-timeout" not in peer.calls[1].headers


async def test_servers_that_cancel_what_is_late():
    """Some servers end a call whose time is up with a reset: that is still nobody's fault."""
    loop = asyncio.get_running_loop()

    async with (
        http2_peer(lambda call: loop.call_later(0.06, call.reset, 8)) as peer,
        grpc_upstream(peer.port) as upstream,
    ):
        error = await fails(upstream(request(deadline=loop.time() + 0.001)))

    assert flags(error) == (Fault.DEADLINE, False, False)


async def test_a_request_that_is_too_large_is_not_sent():
    """It is the client's, and the other side hears nothing of it."""
    settings = GrpcUpstreamSettings(max_request_bytes=1024)
    async with (
        http2_peer(lambda call: call.answer(ANSWER)) as peer,
        grpc_upstream(peer.port, settings=settings) as upstream,
    ):
        error = await fails(upstream(request(id="x" * 2000)))
        await upstream(request())

    assert flags(error) == (Fault.TOO_LARGE, False, False)
    assert len(peer.calls) == 1


async def test_an_upstream_that_was_never_used():
    """Nothing is opened before the first call, so it may be built where no loop runs."""
    upstream = await asyncio.to_thread(GrpcUpstream, "far", "[::1]:1", LoopClock())

    assert repr(upstream) == "<GrpcUpstream far at [::1]:1, open, 0 running>"
    await upstream.aclose()
    assert (await fails(upstream(request()))).fault is Fault.UNAVAILABLE
