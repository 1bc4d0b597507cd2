"""Upstreams over TLS: whose certificate, and which protocol."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import grpc
import grpc.aio
import pytest

from gateway.core.clock import LoopClock
from gateway.core.errors import Fault
from gateway.http.client.tls import FixedTls, trusting_context
from gateway.upstreams.oip_grpc import GrpcUpstream
from gateway.upstreams.oip_http import HttpUpstream
from gateway.wire.proto import messages
from tests.fakes.certificates import Authority
from tests.fakes.service import request
from tests.fakes.upstreams import fails, flags, http, read_request

ANSWER = b'{"model_name":"m","outputs":[{"name":"y","datatype":"INT8","shape":[2],"data":[1,2]}]}'


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with cert.pem for localhost, signed by itself, and its key.pem."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is needed to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([program, "req", "-x509", *key, *files, *subject], check=True, capture_output=True)
    return folder


def trusting(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    context.set_alpn_protocols(["h2"])
    return context


def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


async def test_http_over_tls(certificate):
    """The certificate is checked against the name; a stranger's is a failure of the endpoint."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(http(200, ANSWER))
        writer.close()

    server = await asyncio.start_server(play, "127.0.0.1", 0, ssl=serving(certificate))
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
    known = HttpUpstream("far", url, LoopClock(), tls=FixedTls(trusting(certificate)))
    stranger = HttpUpstream("far", url, LoopClock())

    assert (await known(request())).outputs[0].numpy().tolist() == [1, 2]
    assert flags(await fails(stranger(request()))) == (Fault.UNAVAILABLE, True, True)
    await known.aclose()
    await stranger.aclose()
    server.close()


async def test_grpc_over_tls(certificate):
    """HTTP/2 is agreed on by ALPN."""

    async def method(_body: bytes, _context: object) -> bytes:
        answer: bytes = messages.ModelInferResponse(model_name="m").SerializeToString()
        return answer

    server = grpc.aio.server()
    handler = {"ModelInfer": grpc.unary_unary_rpc_method_handler(method)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(messages.SERVICE, handler),))
    pair = ((certificate / "key.pem").read_bytes(), (certificate / "cert.pem").read_bytes())
    port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([pair]))
    await server.start()
    upstream = GrpcUpstream("far", f"localhost:{port}", LoopClock(), tls=FixedTls(trusting(certificate)))

    assert (await upstream(request())).model == "m"
    await upstream.aclose()
    await server.stop(None)


@pytest.mark.parametrize("has_usage", [True, False])
async def test_private_authorities_are_trusted_on_every_python(tmp_path, has_usage):
    """One that does not say what its key is for, too, as curl and Envoy have it; a stranger's is refused."""
    ours, theirs = Authority(tmp_path, has_usage=has_usage), Authority(tmp_path, "stranger")
    files = ours.issue("localhost")

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(http(200, ANSWER))
        writer.close()

    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(files.certificate, files.key)
    server = await asyncio.start_server(play, "127.0.0.1", 0, ssl=shown)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
    for authority, is_trusted in ((ours, True), (theirs, False)):
        context = trusting_context()
        context.load_verify_locations(authority.root)
        upstream = HttpUpstream("far", url, LoopClock(), tls=FixedTls(context))
        if is_trusted:
            assert (await upstream(request())).model == "m"
        else:
            assert flags(await fails(upstream(request()))) == (Fault.UNAVAILABLE, True, True)
        await upstream.aclose()
    server.close()


async def test_tls_without_http2(certificate):
    """A server that did not agree to HTTP/2 is not spoken to in it."""
    heard = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(play, "127.0.0.1", 0, ssl=serving(certificate))
    port = server.sockets[0].getsockname()[1]
    upstream = GrpcUpstream("far", f"localhost:{port}", LoopClock(), tls=FixedTls(trusting(certificate)))

    assert flags(await fails(upstream(request()))) == (Fault.UNAVAILABLE, True, True)
    await upstream.aclose()
    server.close()
    assert heard in ([], [b""])
