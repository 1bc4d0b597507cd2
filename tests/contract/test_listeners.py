"""Both listeners mean the same: one request over HTTP and over gRPC, one outcome.

Each case is sent over both wires, to two listeners in front of one service. What the service saw, what
came back, and what was refused in which words has to be equal; only the protocols' status codes differ,
and those are read from the one table.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import grpc
import grpc.aio
import msgspec
import numpy as np
import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Provenance, Request, Response
from gateway.core.service import Service
from gateway.core.tensor import Tensor
from gateway.listeners.data_plane import DataPlane
from gateway.wire import headers
from gateway.wire.faults import STATUSES
from gateway.wire.oip import json as oip_json
from gateway.wire.oip import metadata as oip_metadata
from gateway.wire.oip import proto as oip_proto
from gateway.wire.oip.paths import model_path
from gateway.wire.proto import messages
from tests.fakes.data_plane import DIGITS, EchoService, FakeCatalog, fake_data_plane
from tests.fakes.listener import listener_of
from tests.fakes.service import ScriptedService, request

CENTRAL = Provenance("central")


@dataclass
class Outcome:
    """What a client got: an answer or a refusal, and what was said beside it."""

    response: Response | None = None
    id: str = ""
    status: int = 0
    message: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


class HttpWire:
    """An aiohttp client of the HTTP listener."""

    def __init__(self, client: aiohttp.ClientSession, port: int) -> None:
        self._client, self._url = client, f"http://127.0.0.1:{port}"

    async def infer(self, sent: Request, metadata: dict[str, str]) -> Outcome:
        body = oip_json.encode_request(sent)
        length = {headers.INFERENCE_HEADER_LENGTH: str(body.header_length)}
        return await self.post(sent.model, sent.version, body.join(), {**metadata, **length})

    async def infer_listed(self, datatype: str, shape: list[int], values: list[Any]) -> Outcome:
        tensor = {"name": "x", "datatype": datatype, "shape": shape, "data": values}
        parameters = {"binary_data_output": True}
        body = msgspec.json.encode({"inputs": [tensor], "parameters": parameters})
        return await self.post("digits", "", body, {})

    async def post(self, model: str, version: str, body: bytes, metadata: dict[str, str]) -> Outcome:
        url = self._url + model_path(model, version, "infer")
        async with self._client.post(url, data=body, headers=metadata) as answer:
            read, received = await answer.read(), answer.headers
            outcome = Outcome(status=answer.status, metadata=_of_edgeway(received.items()))
            if answer.status != 200:
                outcome.message = oip_metadata.decode_error(read)
                return outcome
            length = received.get(headers.INFERENCE_HEADER_LENGTH)
            outcome.response = oip_json.decode_response(read, int(length) if length else None, CENTRAL)
            outcome.id = msgspec.json.decode(read[: int(length)] if length else read).get("id", "")
            return outcome

    async def describe(self, model: str) -> Any:
        async with self._client.get(self._url + model_path(model, "")) as answer:
            read = await answer.read()
            return (
                oip_metadata.decode_model(read) if answer.status == 200 else oip_metadata.decode_error(read)
            )

    async def is_ready(self, model: str) -> bool:
        async with self._client.get(self._url + model_path(model, "", "ready")) as answer:
            return answer.status == 200

    async def server(self) -> tuple[Any, ...]:
        async with self._client.get(self._url + "/v2") as answer:
            received = await answer.json()
            return received["name"], received["version"], received["extensions"]


class GrpcWire:
    """A plain channel to the gRPC listener."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def _call(self, method: str, message: Any, metadata: dict[str, str] | None = None) -> Any:
        call = self._channel.unary_unary(f"/{messages.SERVICE}/{method}")
        return call(message.SerializeToString(), metadata=tuple((metadata or {}).items()))

    async def infer(self, sent: Request, metadata: dict[str, str]) -> Outcome:
        return await self.send(oip_proto.encode_request(sent), metadata)

    async def infer_listed(self, datatype: str, shape: list[int], values: list[Any]) -> Outcome:
        message = messages.ModelInferRequest(model_name="digits")
        entry = message.inputs.add(name="x", datatype=datatype, shape=shape)
        name = {"INT8": "int_contents", "FP32": "fp32_contents", "BOOL": "bool_contents"}[datatype]
        getattr(entry.contents, name).extend(values)
        return await self.send(message, {})

    async def send(self, message: Any, metadata: dict[str, str]) -> Outcome:
        call = self._call("ModelInfer", message, metadata)
        try:
            read = messages.ModelInferResponse.FromString(await call)
        except grpc.aio.AioRpcError as error:
            received = _of_edgeway(error.trailing_metadata())
            return Outcome(status=error.code().value[0], message=error.details(), metadata=received)
        received = _of_edgeway(await call.trailing_metadata())
        return Outcome(oip_proto.decode_response(read, CENTRAL), read.id, 0, "", received)

    async def describe(self, model: str) -> Any:
        call = self._call("ModelMetadata", messages.ModelMetadataRequest(name=model))
        try:
            return oip_proto.decode_model(messages.ModelMetadataResponse.FromString(await call))
        except grpc.aio.AioRpcError as error:
            return error.details()

    async def is_ready(self, model: str) -> bool:
        call = self._call("ModelReady", messages.ModelReadyRequest(name=model))
        ready: bool = messages.ModelReadyResponse.FromString(await call).ready
        return ready

    async def server(self) -> tuple[Any, ...]:
        received = messages.ServerMetadataResponse.FromString(
            await self._call("ServerMetadata", messages.ServerMetadataRequest())
        )
        return received.name, received.version, list(received.extensions)


def _of_edgeway(received: Any) -> dict[str, str]:
    metadata = {name.lower(): value for name, value in received}
    return {name: value for name, value in metadata.items() if name.startswith(("x-edgeway", "retry-after"))}


@asynccontextmanager
async def both(data_plane: DataPlane) -> AsyncIterator[tuple[HttpWire, GrpcWire]]:
    http, over_grpc = listener_of(data_plane), listener_of(data_plane)
    await http.start("127.0.0.1", 0)
    await over_grpc.start("127.0.0.1", 0)
    try:
        async with (
            aiohttp.ClientSession() as client,
            grpc.aio.insecure_channel(f"127.0.0.1:{over_grpc.port}") as channel,
        ):
            yield HttpWire(client, http.port), GrpcWire(channel)
    finally:
        await http.aclose()
        await over_grpc.aclose()


async def over_both(
    service: Service, sent: Request, metadata: dict[str, str] | None = None
) -> tuple[Outcome, Outcome]:
    async with both(fake_data_plane(service)) as (http, over_grpc):
        return await http.infer(sent, metadata or {}), await over_grpc.infer(sent, metadata or {})


def tensor(name: str = "x", datatype: str = "FP32", shape: tuple[int, ...] = (2,), size: int = 8) -> Tensor:
    return Tensor(name, datatype, shape, bytes(size))


class Hasty:
    """Refuses what is due within a second; the stack's Deadline would let it run out."""

    async def __call__(self, request: Request) -> Response:
        if request.deadline < asyncio.get_running_loop().time() + 1:
            raise GatewayError(Fault.DEADLINE, "the deadline passed")
        raise AssertionError("the deadline got lost on the wire")


@pytest.mark.parametrize(
    "sent",
    [
        request(),
        request(id="r-1", version="1", outputs=("image",), parameters={"priority": 1, "note": "é", "x": 0.5}),
        request(inputs=(tensor(), Tensor.from_numpy("words", np.array([b"a", b"\xff"], object)))),
        request(inputs=(Tensor.from_numpy("halves", np.array([0.5], np.float16)),)),
        request(inputs=(tensor(shape=(0, 3), size=0),)),
        request(parameters={"timeout": 3_600_000_000}),
    ],
    ids=["plain", "all fields", "BYTES", "FP16", "empty tensor", "timeout"],
)
async def test_valid_requests_mean_the_same(sent):
    """The service sees equal requests, and equal answers with equal headers come back."""
    service = EchoService()
    metadata = {"x-forwarded-for": "203.0.113.9", "x-edgeway-tenant": "clinic", "authorization": "Bearer t"}
    metadata |= {"x-edgeway-hops": "1", "traceparent": "00-ab-cd-01"}

    http, over_grpc = await over_both(service, sent, metadata)

    first, second = service.requests
    assert first.deadline == pytest.approx(second.deadline, abs=5)
    for name in ("model", "version", "id", "inputs", "outputs", "parameters", "caller", "hops", "trace"):
        assert getattr(first, name) == getattr(second, name), name
    assert first.caller.tenant == "clinic"
    assert http.response == over_grpc.response
    assert http.id == over_grpc.id == sent.id
    assert http.metadata == over_grpc.metadata
    assert set(http.metadata) >= {
        headers.SERVED_BY,
        headers.PROVENANCE,
        headers.GENERATION,
        headers.CERTIFIED,
    }


REFUSED_BY_THE_LISTENER = {
    "unknown datatype": (request(inputs=(tensor(datatype="FP8"),)), Fault.INVALID),
    "wrong size": (request(inputs=(tensor(size=7),)), Fault.INVALID),
    "overflowing shape": (request(inputs=(tensor(shape=(1 << 62, 4)),)), Fault.INVALID),
    "negative dimension": (request(inputs=(tensor(shape=(-2,)),)), Fault.INVALID),
    "empty but huge": (request(inputs=(tensor(shape=(0, 1 << 62), size=0),)), Fault.INVALID),
    "too many dimensions": (request(inputs=(tensor(shape=(1,) * 65),)), Fault.INVALID),
    "broken BYTES": (request(inputs=(tensor(datatype="BYTES", size=9),)), Fault.INVALID),
    "duplicate inputs": (request(inputs=(tensor(), tensor())), Fault.INVALID),
    "duplicate outputs": (request(outputs=("y", "y")), Fault.INVALID),
    "nameless input": (request(inputs=(tensor(name=""),)), Fault.INVALID),
    "long name": (request(inputs=(tensor(name="x" * 300),)), Fault.INVALID),
    "reserved parameter": (request(parameters={"triton_x": True}), Fault.INVALID),
    "negative timeout": (request(parameters={"timeout": -1}), Fault.INVALID),
    "timeout in words": (request(parameters={"timeout": "soon"}), Fault.INVALID),
    "sequence without a number": (request(parameters={"sequence_id": -3}), Fault.INVALID),
}


@pytest.mark.parametrize(("sent", "fault"), REFUSED_BY_THE_LISTENER.values(), ids=REFUSED_BY_THE_LISTENER)
async def test_bad_requests_are_refused_in_the_same_words(sent, fault):
    """What no service should see is refused by both listeners, with one fault and one message."""
    service = EchoService()

    http, over_grpc = await over_both(service, sent)

    assert service.requests == []
    assert (http.status, over_grpc.status) == (STATUSES[fault].http, STATUSES[fault].grpc)
    assert http.message == over_grpc.message != ""
    assert http.metadata == over_grpc.metadata


REFUSED_BY_THE_SERVICE = {
    "unknown model": GatewayError(Fault.NOT_FOUND, "model 'digits' is not known here"),
    "wrong rank": GatewayError(Fault.INVALID, "input 'image' must have 2 dimensions, got 3"),
    "no credential": GatewayError(Fault.UNAUTHENTICATED, "a token is needed"),
    "wrong tenant": GatewayError(Fault.FORBIDDEN, "tenant 'x' may not use this model"),
    "overload": GatewayError(Fault.OVERLOADED, "the queue is full", retryable=True),
    "overload with a time": GatewayError(Fault.OVERLOADED, "the queue is full", retry_after_s=2.5),
    "no region": GatewayError(Fault.UNAVAILABLE, "no allowed region can serve this request"),
    "deadline": GatewayError(Fault.DEADLINE, "the deadline passed"),
    "bug of a layer": GatewayError(Fault.INTERNAL, "the model failed"),
}


@pytest.mark.parametrize("error", REFUSED_BY_THE_SERVICE.values(), ids=REFUSED_BY_THE_SERVICE)
async def test_faults_are_told_in_the_same_words(error):
    """A fault of the stack reaches both clients with its message, its status and the same headers."""
    http, over_grpc = await over_both(ScriptedService(error), request())

    status = STATUSES[error.fault]
    assert (http.status, over_grpc.status) == (status.http, status.grpc)
    assert http.message == over_grpc.message == error.message
    assert http.metadata == over_grpc.metadata
    assert ("retry-after" in http.metadata) is (error.fault is Fault.OVERLOADED)


async def test_bugs_are_told_in_the_same_two_words():
    """An unexpected exception is an internal error for both, without a word about what it was."""
    http, over_grpc = await over_both(ScriptedService(ZeroDivisionError("secret")), request())

    assert (http.status, over_grpc.status) == (500, 13)
    assert http.message == over_grpc.message == "internal error"


async def test_deadline_of_the_request_arrives():
    """The parameter 'timeout' becomes the deadline that the stack sees, over both wires."""
    http, over_grpc = await over_both(Hasty(), request(parameters={"timeout": 1000}))

    assert (http.status, over_grpc.status) == (504, 4)
    assert http.message == over_grpc.message == "the deadline passed"


@pytest.mark.parametrize(
    ("datatype", "shape", "values"),
    [("INT8", [2], [-128, 127]), ("FP32", [1, 2], [0.5, 0.1]), ("BOOL", [3], [True, False, True])],
)
async def test_listed_elements_mean_the_same(datatype, shape, values):
    """JSON's lists and protobuf's typed contents become the same tensor."""
    service = EchoService()
    async with both(fake_data_plane(service)) as (http, over_grpc):
        first = await http.infer_listed(datatype, shape, values)
        second = await over_grpc.infer_listed(datatype, shape, values)

    assert service.requests[0].inputs == service.requests[1].inputs
    assert first.response == second.response is not None


@pytest.mark.parametrize(
    ("datatype", "shape", "values"), [("INT8", [1], [128]), ("FP32", [3], [0.5]), ("FP32", [-1], [0.5])]
)
async def test_listed_elements_are_refused_in_the_same_words(datatype, shape, values):
    """Elements out of range, too few, or of an impossible shape get one message."""
    async with both(fake_data_plane(EchoService())) as (http, over_grpc):
        first = await http.infer_listed(datatype, shape, values)
        second = await over_grpc.infer_listed(datatype, shape, values)

    assert (first.status, second.status) == (400, 3)
    assert first.message == second.message != ""


async def test_metadata_means_the_same():
    """Server, model and readiness are told alike; an unknown model is not ready over both."""
    catalog = FakeCatalog(DIGITS, unready=frozenset({"digits"}))
    async with both(fake_data_plane(EchoService(), catalog=catalog)) as (http, over_grpc):
        assert await http.server() == await over_grpc.server()
        for model in ("digits", "unknown"):
            assert await http.describe(model) == await over_grpc.describe(model)
            assert await http.is_ready(model) is await over_grpc.is_ready(model) is False
        catalog.unready = frozenset()
        assert await http.is_ready("digits") is await over_grpc.is_ready("digits") is True
