"""One listener, two protocols."""

from __future__ import annotations

import pytest

from gateway.listeners.oip.grpc.application import GrpcApplication
from gateway.listeners.oip.rest.application import RestApplication
from gateway.listeners.protocol_router import ProtocolRouter, is_grpc
from tests.fakes.data_plane import EchoService, fake_data_plane
from tests.fakes.exchange import Wire


def router() -> ProtocolRouter:
    data_plane = fake_data_plane(EchoService())
    return ProtocolRouter((is_grpc, GrpcApplication(data_plane)), otherwise=RestApplication(data_plane))


@pytest.mark.parametrize(
    ("content_type", "status", "is_rpc"),
    [("application/grpc", 200, True), ("application/grpc-web", 415, False), ("text/plain", 404, False)],
)
async def test_content_type_chooses(content_type, status, is_rpc):
    """Calls of gRPC are told apart by their content type."""
    reply = await Wire(router(), is_http2=True).ask("POST", "/x", b"", {"Content-Type": content_type})

    assert reply.status == status
    assert ("grpc-status" in reply.trailers) is is_rpc


async def test_rest_needs_no_content_type():
    """Most REST clients say none."""
    assert (await Wire(router()).ask("GET", "/v2")).status == 200


def test_refusals():
    """A refusal is rendered in the terms of the one that it is for; REST's when nobody knows."""
    both = router()
    head = Wire(both, is_http2=True).head("POST", "/x", {"content-type": "application/grpc"})

    assert both.refuse(None, 400, "bad").status == 400
    assert both.refuse(head, 413, "large").trailers[0] == (b"grpc-status", b"3")
    assert "GrpcApplication" in repr(both)


async def test_a_further_family_takes_its_own_paths():
    """It stands before the rest, and takes nothing that is not its own."""
    data_plane = fake_data_plane(EchoService())
    chat = RestApplication(fake_data_plane(EchoService(), region="chat"))
    router = ProtocolRouter(
        (lambda head: head.path.startswith("/v1/"), chat),
        (is_grpc, GrpcApplication(data_plane)),
        otherwise=RestApplication(data_plane),
    )

    served_by = [
        (await Wire(router).ask("GET", path)).headers["x-edgeway-served-by"] for path in ("/v1/models", "/v2")
    ]

    assert served_by == ["chat", "eu-west"]
