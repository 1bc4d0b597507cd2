"""The gRPC application over its seam: paths, refusals, and what becomes of errors."""

from __future__ import annotations

import gzip
from dataclasses import replace
from random import Random
from urllib.parse import unquote

import pytest

from gateway.wire.proto import messages
from tests.fakes.operator import BEARER, Loads
from tests.fakes.service import ScriptedService
from tests.gateway.listeners.oip.grpc.calls import (
    ALLOWED,
    GRPC,
    call,
    framed,
    infer,
    wire,
)


async def test_bugs_are_not_told():
    """An unexpected exception is an internal error, without a word about what it was."""
    _, trailers = await call("ModelInfer", infer(), on=wire(ScriptedService(ZeroDivisionError("secret"))))

    assert (trailers["grpc-status"], trailers["grpc-message"]) == ("13", "internal error")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "ModelInfer", GRPC, 405),
        ("POST", "ModelInfer", {"content-type": "application/grpc-web"}, 415),
        ("POST", "ModelInfer", {"content-type": "application/grpc+json"}, 415),
        ("POST", "ModelInfer", {}, 415),
    ],
)
async def test_no_grpc(method, path, headers, status):
    """What is no gRPC call gets an answer of HTTP's."""
    assert (await wire().ask(method, f"/{messages.SERVICE}/{path}", b"", headers)).status == status


async def test_http_1_is_refused():
    """gRPC has no other wire than HTTP/2."""
    connection = wire()
    connection.is_http2 = False

    assert (await connection.ask("POST", f"/{messages.SERVICE}/ModelInfer", b"", GRPC)).status == 505


async def test_refusals_before_the_message():
    """Unknown methods, bad framing, bad messages and the connection's own refusals are statuses."""
    path = f"/{messages.SERVICE}/"
    unknown = await wire().ask("POST", path + "ModelTrain", b"", GRPC)
    unframed_ = await wire().ask("POST", path + "ModelInfer", b"\0", GRPC)
    broken = await wire().ask("POST", path + "ModelReady", b"\0\0\0\0\1\xff", GRPC)
    large = await wire(max_body_bytes=10).ask("POST", path + "ModelInfer", framed(infer()), GRPC)
    twice = await wire().ask(
        "POST", path + "ModelInfer", b"", [*GRPC.items(), ("authorization", "a"), ("authorization", "b")]
    )
    own = wire().application.refuse(None, 408, "too slow")

    codes = [reply.trailers["grpc-status"] for reply in (unknown, unframed_, broken, large, twice)]
    assert codes == ["12", "3", "3", "3", "3"]
    assert dict(own.trailers)[b"grpc-status"] == b"4"


@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_an_order_to_load_may_bring_a_model(coding):
    """Compressed or not; a body of the size that is allowed for any is the most."""
    repository = Loads()
    message = messages.RepositoryModelLoadRequest(model_name="m")
    message.parameters["file:1/model.onnx"].bytes_param = Random(1).randbytes(1 << 19).hex().encode()
    sent = message.SerializeToString()
    packed = gzip.compress(sent) if coding == "gzip" else sent
    body = bytes([coding == "gzip"]) + len(packed).to_bytes(4, "big") + packed
    headers = {**GRPC, "grpc-encoding": coding, **BEARER}
    path = f"/{messages.SERVICE}/RepositoryModelLoad"

    done, refused = [
        await wire(max_body_bytes=most, extensions=replace(ALLOWED, repository=repository)).ask(
            "POST", path, body, headers
        )
        for most in (len(sent), len(sent) - 1)
    ]

    assert done.trailers["grpc-status"] == "0"
    assert "large" in unquote((refused.trailers or refused.headers)["grpc-message"])
    assert [call[:2] for call in repository.done] == [("load", "m")]
    assert len(repository.done[0][2]["file:1/model.onnx"]) == 1 << 20


@pytest.mark.parametrize("name", ["RepositoryModelUnload", "LogSettings", "ModelMetadata"])
async def test_questions_are_small(name):
    """What asks about models is no tensor: it is bounded before it is read, compressed or not."""
    message = b"\x0a\x00" * (1 << 17)
    for headers, sent, flag in (
        ({**GRPC, "grpc-encoding": "gzip"}, gzip.compress(message), b"\1"),
        (GRPC, message, b"\0"),
    ):
        body = flag + len(sent).to_bytes(4, "big") + sent
        operators = {**headers, **BEARER}
        reply = await wire(extensions=ALLOWED).ask("POST", f"/{messages.SERVICE}/{name}", body, operators)
        status = reply.trailers or reply.headers
        assert status["grpc-status"] == "3"
        assert "large" in unquote(status["grpc-message"])
