"""REST ≡ gRPC over the seam: one request, one meaning; one fault, one message and its two statuses."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from google.protobuf import json_format

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller, Provenance
from gateway.core.tensor import Tensor
from gateway.listeners.oip.extensions import Extensions
from gateway.listeners.oip.grpc.application import GrpcApplication
from gateway.listeners.oip.rest.application import RestApplication
from gateway.listeners.protocol_router import ProtocolRouter, is_grpc
from gateway.wire.faults import STATUSES
from gateway.wire.grpc_framing import frame
from gateway.wire.oip import json as oip_json
from gateway.wire.oip import proto as oip_proto
from gateway.wire.oip.paths import model_path
from gateway.wire.proto import messages
from tests.contract.test_listeners import REFUSED_BY_THE_LISTENER, REFUSED_BY_THE_SERVICE, tensor
from tests.fakes.data_plane import EchoService, FakeGeneration, fake_data_plane
from tests.fakes.exchange import Wire
from tests.fakes.operator import BEARER, OPEN
from tests.fakes.service import ScriptedService, request

CENTRAL = Provenance("central")
GRPC = {"content-type": "application/grpc"}


def wire(service: Any = None, extensions: Extensions | None = None, **changes: Any) -> Wire:
    data_plane = fake_data_plane(service or EchoService(), **changes)
    return Wire(
        ProtocolRouter(
            (is_grpc, GrpcApplication(data_plane, extensions)),
            otherwise=RestApplication(data_plane, extensions),
        ),
        is_http2=True,
    )


async def rest(on: Wire, sent, headers=()) -> Any:
    body = oip_json.encode_request(sent)
    headers = {**dict(headers), "inference-header-content-length": str(body.header_length)}
    return await on.ask("POST", model_path(sent.model, sent.version, "infer"), body.join(), headers)


async def rpc(on: Wire, sent, headers=()) -> Any:
    return await call(on, "ModelInfer", oip_proto.encode_request(sent), headers)


async def call(on: Wire, name: str, message: Any, headers=()) -> Any:
    body = b"".join(frame([message.SerializeToString()]))
    return await on.ask("POST", f"/{messages.SERVICE}/{name}", body, {**dict(headers), **GRPC})


def edgeway_headers(fields: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if name.startswith(("x-edgeway", "retry-after"))}


@pytest.mark.parametrize(
    "sent",
    [
        request(),
        request(id="r-1", version="1", outputs=("image",), parameters={"priority": 1, "note": "é", "x": 0.5}),
        request(inputs=(tensor(), Tensor("t", "BYTES", (2,), b"\1\0\0\0a\0\0\0\0"))),
        request(inputs=(Tensor("h", "FP16", (1,), b"\0\1"), Tensor("b", "BF16", (1,), b"\0\1"))),
        request(inputs=(tensor(shape=(0, 3), size=0),)),
        request(parameters={"timeout": 3_600_000_000}),
    ],
)
async def test_requests_and_answers_mean_the_same(sent):
    """The service sees equal requests; equal answers with equal words about them come back; also again."""
    service = EchoService()
    on = wire(service)
    headers = {
        "x-forwarded-for": "203.0.113.9",
        "x-edgeway-tenant": "clinic",
        "authorization": "t",
        "x-edgeway-hops": "1",
    }

    for _ in range(2):
        first, second = await rest(on, sent, headers), await rpc(on, sent, headers)

        one, other = service.requests[-2:]
        for name in ("model", "version", "id", "inputs", "outputs", "parameters", "caller", "hops", "trace"):
            assert getattr(one, name) == getattr(other, name), name
        length = first.headers.get("inference-header-content-length")
        answer = oip_json.decode_response(first.body, int(length) if length else None, CENTRAL)
        message = messages.ModelInferResponse.FromString(second.body[5:])
        assert answer == oip_proto.decode_response(message, CENTRAL)
        assert edgeway_headers(first.headers) == edgeway_headers(second.trailers)
        assert not first.waited and not second.waited


@pytest.mark.parametrize(("sent", "fault"), REFUSED_BY_THE_LISTENER.values(), ids=REFUSED_BY_THE_LISTENER)
async def test_bad_requests_are_refused_in_the_same_words(sent, fault):
    """One fault, one message."""
    service = EchoService()
    first, second = await rest(wire(service), sent), await rpc(wire(service), sent)

    same(first, second, fault)
    assert service.requests == []


@pytest.mark.parametrize("error", REFUSED_BY_THE_SERVICE.values(), ids=REFUSED_BY_THE_SERVICE)
async def test_faults_are_told_in_the_same_words(error):
    """A fault of the stack is told alike."""
    on = wire(ScriptedService(error))

    same(await rest(on, request()), await rpc(on, request()), error.fault)


def same(first: Any, second: Any, fault: Fault) -> None:
    status = STATUSES[fault]
    assert (first.status, int(second.trailers["grpc-status"])) == (status.http, status.grpc)
    assert first.error == unquote(second.trailers["grpc-message"]) != ""
    assert edgeway_headers(first.headers) == edgeway_headers(second.trailers)


async def test_configuration_and_statistics_mean_the_same():
    """What is told of models is told alike."""
    on = wire()
    for path, name, kind in (
        ("config", "ModelConfig", "config"),
        ("stats", "ModelStatistics", "model_stats"),
    ):
        message = messages.message(f"inference.{name}Request")(name="digits")
        answer = await call(on, name, message)
        message = messages.message(f"inference.{name}Response").FromString(answer.body[5:])
        plain = (await on.ask("GET", f"/v2/models/digits/{path}")).json()
        plain = plain if kind in plain else {kind: plain}
        read = json_format.ParseDict(plain, type(message)(), ignore_unknown_fields=True)
        assert read == message


async def test_refusals_of_an_operators_calls_are_the_same():
    """Who may not load a model is told so alike; so is who may, and cannot."""
    open_port = Extensions(**OPEN)
    page = {**BEARER, "origin": "http://elsewhere"}
    for extensions, headers, fault in (
        (None, BEARER, Fault.FORBIDDEN),
        (open_port, {}, Fault.UNAUTHENTICATED),
        (open_port, page, Fault.FORBIDDEN),
        (open_port, BEARER, Fault.NOT_FOUND),
    ):
        on = wire(extensions=extensions)
        first = await on.ask("POST", "/v2/repository/models/m/load", b"", headers)
        message = messages.RepositoryModelLoadRequest(model_name="m")
        second = await call(on, "RepositoryModelLoad", message, headers)
        same(first, second, fault)


QUESTIONS = {
    "/v2/models/digits": "ModelMetadata",
    "/v2/models/digits/ready": "ModelReady",
    "/v2/models/digits/config": "ModelConfig",
    "/v2/models/digits/stats": "ModelStatistics",
    "/v2/models/stats": "ModelStatistics",
    "/v2/repository/index": "RepositoryIndex",
    "/v2/trace/setting": "TraceSetting",
    "/v2/logging": "LogSettings",
}


def needs_key(caller: Caller) -> Caller:
    if not caller.credential:
        raise GatewayError(Fault.UNAUTHENTICATED, "a key is needed")
    return Caller(caller.address, "acme")


@pytest.mark.parametrize("path", QUESTIONS)
async def test_questions_need_a_key_where_inferring_does(path: str) -> None:
    """Whoever may not infer is told nothing; what is asked of the server as a whole needs none."""
    generation = FakeGeneration(EchoService(), identify=needs_key)
    on, key = wire(generation=lambda: generation), {"authorization": "Bearer key"}
    method = "POST" if path.endswith("index") else "GET"
    name = QUESTIONS[path]
    kind = messages.message(f"inference.{name}Request")
    fields = {field.name for field in kind.DESCRIPTOR.fields}
    message = kind(name="digits") if "name" in fields else kind()

    same(await on.ask(method, path), await call(on, name, message), Fault.UNAUTHENTICATED)
    assert (await on.ask(method, path, b"", key)).status == 200
    assert (await call(on, name, message, key)).trailers["grpc-status"] == "0"


async def test_probes_need_no_key() -> None:
    """An orchestrator has none."""
    generation = FakeGeneration(EchoService(), identify=needs_key)
    on = wire(generation=lambda: generation)

    for path in ("/v2", "/v2/health/live", "/v2/health/ready"):
        assert (await on.ask("GET", path)).status == 200
    for name in ("ServerLive", "ServerReady", "ServerMetadata"):
        message = messages.message(f"inference.{name}Request")()
        assert (await call(on, name, message)).trailers["grpc-status"] == "0"


def test_table_of_faults_is_one():
    """Every fault has its two statuses."""
    assert set(STATUSES) == set(Fault)
    assert isinstance(msgspec.json.encode(list(Fault)), bytes)
    assert GatewayError(Fault.INVALID, "x").fault in STATUSES
