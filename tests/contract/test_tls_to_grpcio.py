"""mTLS to gRPC's own server, whose TLS is another than ours (BoringSSL)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest

from gateway.wire.proto import messages
from routing.endpoint import EndpointTls
from tests.fakes.certificates import RSA, Authority, Issued
from tests.fakes.service import request
from tests.fakes.tls import KeptLoad, upstream_of
from tests.fakes.upstreams import fails


@asynccontextmanager
async def foreign_server(issued: Issued, client_ca: Path) -> AsyncIterator[int]:
    """The port of a server that wants certificates, and says how loaded it is."""

    async def method(_body: bytes, context: grpc.aio.ServicerContext) -> bytes:
        context.set_trailing_metadata((("endpoint-load-metrics", "TEXT cpu_utilization=0.25"),))
        answer: bytes = messages.ModelInferResponse(model_name="m").SerializeToString()
        return answer

    server = grpc.aio.server()
    handler = {"ModelInfer": grpc.unary_unary_rpc_method_handler(method)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(messages.SERVICE, handler),))
    credentials = grpc.ssl_server_credentials(
        [(issued.key.read_bytes(), issued.certificate.read_bytes())],
        root_certificates=client_ca.read_bytes(),
        require_client_auth=True,
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@pytest.mark.parametrize("key", [(), RSA], ids=["ec", "rsa"])
async def test_whoever_shows_a_certificate_is_answered(tmp_path: Path, key: tuple[str, ...]) -> None:
    """Others get an error that counts; its load is read as ours is."""
    ca = Authority(tmp_path)
    ours = ca.issue("edge", key=key)
    expired = ca.issue("edge", days=-1)
    kept = KeptLoad()
    async with foreign_server(ca.issue("localhost", key=key), ca.root) as port:
        for shown, says in (
            (ours, ""),
            (None, "right after the handshake"),
            (expired, "TLS handshake failed"),
        ):
            files = {} if shown is None else {"certificate": str(shown.certificate), "key": str(shown.key)}
            tls = EndpointTls(ca=str(ca.root), **files)
            async with upstream_of("grpc", port, tls, on_load=kept) as upstream:
                if not says:
                    assert (await upstream(request())).model == "m"
                    continue
                error = await fails(upstream(request()))
                assert error.counts
                assert says in error.message
    assert [report.cpu for report in kept.reports] == [0.25]
