"""Headers and texts that begin or end with a blank, through a gateway: real clients, real servers, raw peers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from gateway.app.process import GatewayProcess
from gateway.config.settings import load_settings
from gateway.wire.proto import messages
from tests.fakes.http2_peer import Call, http2_peer
from tests.scenarios.test_blame import EDGE, POLICY, ask, edge_to

TRITONS = "[request id: <id_unknown>] unexpected shape for input 'x' for model 'm'. Expected [4], got [1,1]. "
METHOD = "/inference.GRPCInferenceService/ModelInfer"


@asynccontextmanager
async def server(text: str) -> AsyncIterator[int]:
    """A real grpcio server whose calls end with ``text``; with "good" as the model's name, they do not."""

    async def infer(request: bytes, context: Any) -> bytes:
        message = messages.ModelInferRequest.FromString(request)
        if message.model_name != "good":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
        answer = messages.ModelInferResponse(model_name="good")
        output = answer.outputs.add(name="y", datatype="FP32", shape=[1])
        output.contents.fp32_contents.append(0.5)
        return bytes(answer.SerializeToString())

    handler = grpc.unary_unary_rpc_method_handler(infer)
    service = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ModelInfer": handler})
    found = grpc.aio.server()
    found.add_generic_rpc_handlers((service,))
    port = found.add_insecure_port("127.0.0.1:0")
    await found.start()
    try:
        yield port
    finally:
        await found.stop(None)


@pytest.mark.parametrize("count", [5, 50])
@pytest.mark.parametrize("text", [TRITONS, " leading", "  both  "])
async def test_texts_of_an_endpoint_are_passed_on(tmp_path: Path, text: str, count: int) -> None:
    """However often: the caller is told in the endpoint's words, and others are served."""
    async with server(text) as port, edge_to(tmp_path, "grpc", port) as edge:
        told = {await ask(edge, "bad", value=float(n)) for n in range(count)}
        good = await ask(edge, "good", tenant="umbrella")
        report = edge.health()

    assert told == {f"invalid: {text}"}
    assert good == "ok"
    assert report["endpoints"]["central"]["state"] == "closed"


@asynccontextmanager
async def channel_to(folder: Path, port: int) -> AsyncIterator[grpc.aio.Channel]:
    """A real grpcio client of an edge before the endpoint at ``port``."""
    (folder / "policy.yaml").write_text(POLICY.replace("PROTOCOL", "grpc").replace("PORT", str(port)))
    (folder / "edge.yaml").write_text(EDGE.replace("grpc: null", "grpc: '127.0.0.1:0'"))
    edge = GatewayProcess(load_settings(folder / "edge.yaml", {}))
    async with edge.serving() as gateway:
        listener = gateway.servers.grpc
        assert listener is not None
        async with grpc.aio.insecure_channel(f"127.0.0.1:{listener.port}") as channel:
            yield channel


def infer(model: str) -> bytes:
    message = messages.ModelInferRequest(model_name=model)
    message.inputs.add(name="x", datatype="FP32", shape=[1]).contents.fp32_contents.append(1.0)
    return bytes(message.SerializeToString())


async def test_a_blank_at_the_end_reaches_the_client(tmp_path: Path) -> None:
    async with server(TRITONS) as port, channel_to(tmp_path, port) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(METHOD)(infer("bad"))

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == TRITONS


async def test_a_clients_metadata_may_have_blanks(tmp_path: Path) -> None:
    """And those of its other calls on the connection are not touched."""
    async with server("") as port, channel_to(tmp_path, port) as channel:
        call = channel.unary_unary(METHOD, response_deserializer=messages.ModelInferResponse.FromString)
        for value in (" leading", "trailing ", " ", "none"):
            answer = await call(infer("good"), metadata=(("x-first", value), ("x-second", value)), timeout=10)
            assert answer.model_name == "good"


STATUS = [(b"grpc-status", b"3")]
ANSWERS: dict[str, tuple[list[Any], list[Any]]] = {
    "trailers": ([], [*STATUS, (b"grpc-message", b"ends ")]),
    "several": ([(b"x-a", b" a"), (b"x-b", b"b\t")], [*STATUS, (b"grpc-message", b"ends "), (b"x-c", b" ")]),
    "long": ([], [*STATUS, (b"x", b"y" * 20_000), (b"grpc-message", b"ends ")]),
}


@pytest.mark.parametrize("kind", ANSWERS)
async def test_wherever_the_blank_is(tmp_path: Path, kind: str) -> None:
    """In the first headers, in trailers, in several frames, in what refers to the dynamic table."""
    headers, trailers = ANSWERS[kind]

    def play(call: Call) -> None:
        call.answer(
            b"", *trailers, headers=[(b":status", b"200"), (b"content-type", b"application/grpc"), *headers]
        )

    async with http2_peer(play) as peer, edge_to(tmp_path, "grpc", peer.port) as edge:
        told = {await ask(edge, "bad", value=float(n)) for n in range(6)}
        report = edge.health()
        resets = [reset for connection in peer.connections for reset in connection.resets]

    assert told == {"invalid: ends "}
    assert report["endpoints"]["central"]["state"] == "closed"
    assert not resets


@pytest.mark.parametrize("value", [b"a\0", b"\x1b[0m", b"\xf7"])
async def test_an_answer_that_is_refused_here_is_named_so(tmp_path: Path, value: bytes) -> None:
    """It is no evidence against the endpoint, and its other answers are served."""

    def play(call: Call) -> None:
        message = messages.ModelInferRequest.FromString(call.body[5:])
        if message.model_name == "bad":
            call.answer(b"", *STATUS, (b"grpc-message", value))
        else:
            call.answer(b"", *STATUS, (b"grpc-message", b"good"))

    async with http2_peer(play) as peer, edge_to(tmp_path, "grpc", peer.port) as edge:
        refused = {await ask(edge, "bad", value=float(n)) for n in range(20)}
        other = await ask(edge, "other")
        report = edge.health()

    (error,) = refused
    assert error.startswith(
        "internal: the answer of endpoint 'central' cannot be read: HTTP/2 does not allow"
    )
    assert other == "invalid: good"
    assert report["endpoints"]["central"]["state"] == "closed"
    assert len(peer.connections) == 1
