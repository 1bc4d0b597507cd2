"""The gRPC listener against real clients on a real socket."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import ANONYMOUS, Provenance
from gateway.core.service import Service
from gateway.core.telemetry import Refused, RequestFinished
from gateway.http.server.listener import HttpListener
from gateway.listeners.data_plane import NAME, VERSION, DataPlane
from gateway.listeners.oip.grpc import application
from gateway.wire.proto import messages
from gateway.wire.trust import Trust
from tests.fakes.data_plane import EchoService, FakeCatalog, fake_data_plane
from tests.fakes.listener import listener_of
from tests.fakes.service import HANG, ScriptedService, answer
from tests.fakes.telemetry import RecordingTelemetry


@asynccontextmanager
async def listening(data_plane: DataPlane) -> AsyncIterator[HttpListener]:
    listener = listener_of(data_plane)
    await listener.start("127.0.0.1", 0)
    try:
        yield listener
    finally:
        await listener.aclose()


@asynccontextmanager
async def calling(service: Service, **changes: Any) -> AsyncIterator[Callable[..., Any]]:
    """A listener before ``service`` and a plain channel: ``call(body, method=..., metadata=...)``."""
    async with (
        listening(fake_data_plane(service, **changes)) as listener,
        grpc.aio.insecure_channel(f"127.0.0.1:{listener.port}") as channel,
    ):

        def call(body: bytes, method: str = "ModelInfer", **options: Any) -> Any:
            return channel.unary_unary(f"/inference.GRPCInferenceService/{method}")(body, **options)

        yield call


@asynccontextmanager
async def triton_client(service: Service, **changes: Any) -> AsyncIterator[Any]:
    async with (
        listening(fake_data_plane(service, **changes)) as listener,
        triton.InferenceServerClient(f"127.0.0.1:{listener.port}") as client,
    ):
        yield client


def infer_body(**changes: Any) -> bytes:
    message = messages.ModelInferRequest(
        **{"model_name": "digits", "raw_input_contents": [bytes(16)], **changes}
    )
    message.inputs.add(name="image", datatype="FP32", shape=(1, 4))
    encoded: bytes = message.SerializeToString()
    return encoded


async def refused(call: Coroutine[Any, Any, Any]) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def test_tritonclient_gets_its_answer():
    """The unmodified tritonclient sends tensors, a version, an id and wanted outputs, and reads all back."""
    service = EchoService()
    image = triton.InferInput("image", [1, 4], "FP32")
    image.set_data_from_numpy(np.array([[1, 2, 3, 4]], np.float32))
    note = triton.InferInput("note", [1], "BYTES")
    note.set_data_from_numpy(np.array([b"seven"], object))

    async with triton_client(service) as client:
        result = await client.infer(
            "digits",
            [image, note],
            model_version="1",
            request_id="r-1",
            outputs=[triton.InferRequestedOutput("note"), triton.InferRequestedOutput("image")],
            priority=1,
        )

    assert result.as_numpy("image").tolist() == [[1, 2, 3, 4]]
    assert result.as_numpy("note").tolist() == [b"seven"]
    assert result.get_response().id == "r-1"
    assert service.last.outputs == ("note", "image")
    assert (service.last.version, service.last.parameters) == ("1", {"priority": 1})


async def test_tritonclient_asks_about_server_and_models():
    """Health and metadata calls say what the catalogue and the gateway say."""
    async with triton_client(EchoService(), catalog=FakeCatalog()) as client:
        server = await client.get_server_metadata()
        model = await client.get_model_metadata("digits")

        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("digits", "1")
        assert not await client.is_model_ready("digits", "9")
        assert not await client.is_model_ready("unknown")

    assert (server.name, server.version) == (NAME, VERSION)
    assert "binary_tensor_data" in server.extensions
    assert (model.name, list(model.versions), model.platform) == ("digits", ["1"], "onnxruntime_onnx")
    assert (model.inputs[0].name, list(model.inputs[0].shape)) == ("image", [-1, 4])
    assert model.outputs[0].datatype == "FP32"


async def test_server_and_model_that_are_not_ready_say_so():
    """Not ready is an answer, not an error; the metadata of an unknown model is an error."""
    catalog = FakeCatalog(unready=frozenset({"digits"}))
    async with triton_client(EchoService(), ready=False, catalog=catalog) as client:
        assert await client.is_server_live()
        assert not await client.is_server_ready()
        assert not await client.is_model_ready("digits")
        with pytest.raises(InferenceServerException, match="'unknown' is not known here") as caught:
            await client.get_model_metadata("unknown")

    assert caught.value.status() == "StatusCode.NOT_FOUND"


async def test_catalogue_that_cannot_be_asked_is_an_error():
    """Only an unknown model counts as not ready; other faults are told as they are."""

    class Broken(FakeCatalog):
        async def is_ready(self, model: str, version: str) -> bool:
            raise GatewayError(Fault.UNAVAILABLE, "nobody can be asked")

    body = messages.ModelReadyRequest(name="digits").SerializeToString()
    async with calling(EchoService(), catalog=Broken()) as call:
        error = await refused(call(body, "ModelReady"))

    assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "nobody can be asked")


async def test_every_answer_says_who_answered():
    """Trailing metadata names region, generation, provenance and the artefact."""
    provenance = Provenance("edge", certified=False, level="l1", digest="sha256:00ff")
    async with calling(EchoService(provenance), number=41) as call:
        infer = call(infer_body())
        await infer
        live = call(b"", "ServerLive")
        await live

        assert dict(await infer.trailing_metadata()) == {
            "x-edgeway-served-by": "eu-west",
            "x-edgeway-policy-generation": "41",
            "x-edgeway-provenance": "cache;level=l1;origin=edge",
            "x-edgeway-certified": "false",
            "x-edgeway-model-digest": "sha256:00ff",
        }
        assert dict(await live.trailing_metadata()) == {
            "x-edgeway-served-by": "eu-west",
            "x-edgeway-policy-generation": "41",
        }


async def test_every_error_says_who_refused():
    """An error carries region, generation, and the time after which to come again in both dialects."""
    error = GatewayError(Fault.OVERLOADED, "the queue is full", retry_after_s=1.5)
    async with calling(ScriptedService(error), number=41) as call:
        refusal = await refused(call(infer_body()))

    assert refusal.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refusal.details() == "the queue is full"
    # An answer of nothing but a status has all of its headers among the trailers.
    trailers = {name: value for name, value in refusal.trailing_metadata() if name != "x-request-id"}
    assert trailers == {
        "x-edgeway-served-by": "eu-west",
        "x-edgeway-policy-generation": "41",
        "retry-after": "2",
        "grpc-retry-pushback-ms": "1500",
    }


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.INVALID, grpc.StatusCode.INVALID_ARGUMENT),
        (Fault.TOO_LARGE, grpc.StatusCode.INVALID_ARGUMENT),
        (Fault.UNAUTHENTICATED, grpc.StatusCode.UNAUTHENTICATED),
        (Fault.FORBIDDEN, grpc.StatusCode.PERMISSION_DENIED),
        (Fault.NOT_FOUND, grpc.StatusCode.NOT_FOUND),
        (Fault.UNSUPPORTED, grpc.StatusCode.UNIMPLEMENTED),
        (Fault.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE),
        (Fault.DEADLINE, grpc.StatusCode.DEADLINE_EXCEEDED),
        (Fault.CANCELLED, grpc.StatusCode.CANCELLED),
        (Fault.INTERNAL, grpc.StatusCode.INTERNAL),
    ],
)
async def test_faults_become_status_codes(fault, code):
    """Each fault has the code that the one table gives it, and keeps its message."""
    async with calling(ScriptedService(GatewayError(fault, "why"))) as call:
        refusal = await refused(call(infer_body()))

    assert (refusal.code(), refusal.details()) == (code, "why")


async def test_bug_becomes_internal_error_without_a_trace(caplog):
    """An unexpected exception is logged with its traceback; the client gets two words."""
    async with calling(ScriptedService(ZeroDivisionError("secret at /etc/x"))) as call:
        refusal = await refused(call(infer_body()))

    assert (refusal.code(), refusal.details()) == (grpc.StatusCode.INTERNAL, "internal error")
    assert "secret" not in str(refusal.trailing_metadata())
    (record,) = caplog.records
    assert (record.name, record.levelno) == (application.__name__, logging.ERROR)
    assert "secret at /etc/x" in caplog.text


@pytest.mark.parametrize("method", ["ModelInfer", "ModelReady", "ModelMetadata"])
async def test_bytes_that_are_no_message_are_the_clients_fault(method):
    """A malformed body is INVALID_ARGUMENT, and its bytes are not repeated."""
    async with calling(EchoService()) as call:
        refusal = await refused(call(b"\xff\xffsecret", method))

    assert refusal.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.details() == f"the body is not a valid {method}Request"
    assert ("x-edgeway-served-by", "eu-west") in tuple(refusal.trailing_metadata())


async def test_refused_body_is_counted():
    """A request that never reaches the stack is reported by the listener."""
    telemetry = RecordingTelemetry()
    async with calling(EchoService(), telemetry=telemetry) as call:
        await refused(call(infer_body(raw_input_contents=[b"123"])))
        await call(infer_body())

    assert telemetry.events == [Refused("grpc", "invalid")]


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (GatewayError(Fault.OVERLOADED, "full"), ("1", "1000")),
        (GatewayError(Fault.OVERLOADED, "full", retry_after_s=0.2), ("1", "200")),
        (GatewayError(Fault.UNAVAILABLE, "down", retry_after_s=30), ("30", "30000")),
        (GatewayError(Fault.UNAVAILABLE, "down"), (None, None)),
    ],
)
async def test_refused_callers_hear_when_to_come_again(error, waits):
    """Overload always names a time, other faults only where they know one."""
    async with calling(ScriptedService(error)) as call:
        refusal = await refused(call(infer_body()))

    trailing = dict(refusal.trailing_metadata())
    assert (trailing.get("retry-after"), trailing.get("grpc-retry-pushback-ms")) == waits


async def test_message_that_is_too_large_is_refused_before_it_is_read():
    """Neither the service nor the codec sees a message above the limit, and the next one is served."""
    service = EchoService()
    async with calling(service, max_body_bytes=4096) as call:
        refusal = await refused(call(infer_body(id="x" * 8192)))
        await call(infer_body())

    # Not RESOURCE_EXHAUSTED, which would invite the client to try the same again.
    assert refusal.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert len(service.requests) == 1


async def test_long_message_of_an_error_is_cut():
    """A message that would not fit a header block still reaches the client, shortened."""
    async with calling(ScriptedService(GatewayError(Fault.NOT_FOUND, "é" * 100_000))) as call:
        refusal = await refused(call(infer_body()))

    assert (refusal.code(), refusal.details()) == (grpc.StatusCode.NOT_FOUND, "é" * 1021 + "...")


async def test_unknown_method_is_unimplemented():
    """A method that Edgeway does not serve is UNIMPLEMENTED."""
    async with calling(EchoService()) as call:
        refusal = await refused(call(b"", "RepositoryIndices"))

    assert refusal.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_trusted_gateway_is_believed():
    """A trusted gateway says who the client is, whose tenant, how many gateways were passed, which regions are left."""
    service = EchoService()
    metadata = (
        ("x-forwarded-for", "203.0.113.9, 127.0.0.9"),
        ("x-edgeway-tenant", "clinic"),
        ("x-edgeway-hops", "2"),
        ("x-edgeway-regions", "eu-west,eu-north"),
        ("authorization", "Bearer t"),
        ("traceparent", "00-ab-cd-01"),
        ("tracestate", "k=v"),
        ("x-binary-bin", b"\x00\xff"),
    )
    async with calling(service) as call:
        await call(infer_body(), metadata=metadata)

    caller = service.last.caller
    assert (caller.address, caller.tenant, caller.vouched) == ("203.0.113.9", "clinic", True)
    assert caller.credential == "Bearer t"
    assert (service.last.hops, service.last.regions) == (2, {"eu-west", "eu-north"})
    assert service.last.trace == (("traceparent", "00-ab-cd-01"), ("tracestate", "k=v"))


async def test_tenant_named_twice_is_refused():
    """A proxy that appends instead of replacing must not let its clients choose their tenant."""
    metadata = (("x-edgeway-tenant", "clinic"), ("x-edgeway-tenant", "other"))
    async with calling(EchoService()) as call:
        refusal = await refused(call(infer_body(), metadata=metadata))

    assert refusal.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "given more than once" in refusal.details()


async def test_stranger_is_not_believed():
    """What a peer that is neither proxy nor gateway says about client and tenant is ignored."""
    service = EchoService()
    metadata = (("x-forwarded-for", "203.0.113.9"), ("x-edgeway-tenant", "clinic"))
    async with calling(service, trust=Trust()) as call:
        await call(infer_body(), metadata=metadata)

    caller = service.last.caller
    assert (caller.address, caller.tenant, caller.vouched) == ("127.0.0.1", ANONYMOUS, False)
    assert service.last.hops == 0


async def test_forwarded_by_a_stranger_is_refused():
    """A request that a gateway forwarded is refused where that gateway is not known: its tenant is not."""
    service = EchoService()
    async with calling(service, trust=Trust(["127.0.0.0/8"])) as call:
        refusal = await refused(call(infer_body(), metadata=(("x-edgeway-hops", "1"),)))

    assert refusal.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "trusted_gateways" in refusal.details()
    assert service.requests == []


@pytest.mark.parametrize("hops", ["x", "-1", "100"])
async def test_hops_that_are_no_number_are_refused(hops):
    """Hops that no gateway writes are refused: counted as none they could go round for ever."""
    async with calling(EchoService()) as call:
        refusal = await refused(call(infer_body(), metadata=(("x-edgeway-hops", hops),)))

    assert refusal.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_ipv6_peers_have_an_address():
    """A client over IPv6 is known by its plain address."""
    service = EchoService()
    listener = listener_of(fake_data_plane(service, trust=Trust()))
    await listener.start("::1", 0)
    async with grpc.aio.insecure_channel(f"[::1]:{listener.port}") as channel:
        await channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(infer_body())
    await listener.aclose()

    assert service.last.caller.address == "::1"


async def test_deadline_is_the_nearer_of_both():
    """grpc-timeout and the parameter 'timeout' make one deadline; without either there is none."""
    service = EchoService()
    message = messages.ModelInferRequest.FromString(infer_body())
    message.parameters["timeout"].int64_param = 5_000_000
    now = asyncio.get_running_loop().time
    async with calling(service) as call:
        await call(infer_body())
        await call(infer_body(), timeout=20)
        await call(message.SerializeToString(), timeout=60)
        await call(message.SerializeToString())
        await call(infer_body(), timeout=1e9)

    none, twenty, five, also_five, day = (request.deadline for request in service.requests)
    assert none == math.inf
    assert twenty - now() == pytest.approx(20, abs=1)
    assert five - now() == pytest.approx(5, abs=1)
    assert also_five - now() == pytest.approx(5, abs=1)
    assert day - now() == pytest.approx(86_400, abs=1)


async def test_service_sees_the_caller_leave():
    """A client that cancels, or whose time is up, cancels the service; the next call is served."""
    service = ScriptedService(HANG, HANG, answer())
    async with calling(service) as call:
        leaving = call(infer_body())
        waiting = asyncio.ensure_future(leaving)
        await until(lambda: service.running == 1)
        leaving.cancel()
        await until(lambda: service.running == 0)
        late = await refused(call(infer_body(), timeout=0.05))
        await until(lambda: service.running == 0)
        await call(infer_body())

    assert waiting.cancelled() or (await asyncio.gather(waiting, return_exceptions=True))
    assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(service.requests) == 3


async def test_repr_tells_what_is_going_on():
    """The state is one line: open, draining or closed, the port, and how many calls run."""
    service = ScriptedService(HANG)
    listener = listener_of(fake_data_plane(service))

    assert repr(listener) == "<HttpListener on port 0, closed>"
    await listener.start("127.0.0.1", 0)
    port = listener.port
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = asyncio.ensure_future(
            channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(infer_body())
        )
        await until(lambda: service.running == 1)
        assert f"on port {port}, <ServerContext open, 1 connections, 1 running" in repr(listener)
        await listener.stop_accepting()
        await listener.stop_accepting()
        assert "<ServerContext draining, 1 connections, 1 running" in repr(listener)
        service.release()
        await call
        await listener.aclose(5)

    assert repr(listener) == f"<HttpListener on port {port}, closed>"


async def test_draining_finishes_what_was_accepted_and_refuses_the_rest():
    """After stop_accepting a call under way still gets its answer; a new one never reaches the service."""
    service = ScriptedService(HANG)
    listener = listener_of(fake_data_plane(service))
    await listener.start("127.0.0.1", 0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{listener.port}") as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        accepted = asyncio.ensure_future(infer(infer_body()))
        await until(lambda: service.running == 1)

        await listener.stop_accepting()
        # A call that crosses with the GOAWAY is taken too: this one comes after it.
        await asyncio.wait_for(channel.wait_for_state_change(grpc.ChannelConnectivity.READY), 10)
        late = await refused(infer(infer_body()))
        service.release()
        body = await accepted
        await listener.aclose(5)

    assert late.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    assert len(service.requests) == 1
    assert messages.ModelInferResponse.FromString(body).model_name == "digits"


async def test_closing_lets_the_last_answer_out():
    """An answer that is about to leave still reaches its client, even when no grace is given."""
    service = ScriptedService(0.02)
    listener = listener_of(fake_data_plane(service))
    await listener.start("127.0.0.1", 0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{listener.port}") as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        call = asyncio.ensure_future(infer(infer_body()))
        await until(lambda: service.running == 1)

        await listener.aclose()

        assert messages.ModelInferResponse.FromString(await call).model_name == "digits"


async def test_closing_cancels_what_outlives_the_grace():
    """A call that takes longer than the grace is cancelled, and closing twice does no harm."""
    service = ScriptedService(HANG)
    listener = listener_of(fake_data_plane(service))
    await listener.stop_accepting()
    await listener.start("127.0.0.1", 0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{listener.port}") as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        call = asyncio.ensure_future(infer(infer_body()))
        await until(lambda: service.running == 1)

        await listener.aclose(0.01)
        await listener.aclose()

        with pytest.raises(grpc.aio.AioRpcError):
            await call
        await until(lambda: service.running == 0)


async def test_taken_port_is_refused():
    """Two listeners never share a port in silence."""
    async with listening(fake_data_plane(EchoService())) as first:
        with pytest.raises(OSError, match="in use"):
            await listener_of(fake_data_plane(EchoService())).start("127.0.0.1", first.port)


async def test_many_calls_at_once_keep_their_answers():
    """Concurrent calls over one connection get their own answers and none is left running."""
    async with calling(EchoService()) as call:
        bodies = [
            infer_body(id=str(number), raw_input_contents=[bytes([number] * 16)]) for number in range(64)
        ]
        answers = await asyncio.gather(*(call(body) for body in bodies))

    for number, body in enumerate(answers):
        message = messages.ModelInferResponse.FromString(body)
        assert message.id == str(number)
        assert list(message.raw_output_contents) == [bytes([number] * 16)]


async def test_a_full_gateway_reads_no_message():
    """Under overload the refusal comes before the message: what is refused must cost nothing."""
    service, telemetry = EchoService(), RecordingTelemetry()
    async with calling(service, is_full=lambda: True, retry_after_s=3.0, telemetry=telemetry) as call:
        refusal = await refused(call(infer_body()))

    assert refusal.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert dict(refusal.trailing_metadata())["retry-after"] == "3"
    assert service.requests == []
    assert [event.code for event in telemetry.of(RequestFinished)] == ["overloaded"]
