"""TLS of a listener, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path

import pytest

from gateway.http.server import listener as module
from gateway.http.server.listener import HttpListener
from gateway.http.server.settings import TransportSettings
from gateway.http.server.tls import Tls, TlsError, TlsSettings
from tests.fakes.application import connection
from tests.fakes.certificates import RSA, Authority, Issued
from tests.fakes.data_plane import EchoService, fake_data_plane
from tests.fakes.listener import listener_of

NO_PROTOCOL = r"(?i)no.application.protocol"
ASK = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the server's certificates."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server(ca: Authority) -> Issued:
    """A server's certificate."""
    return ca.issue("localhost")


def settings_of(issued: Issued, **more: object) -> TlsSettings:
    return TlsSettings(certificate=str(issued.certificate), key=str(issued.key), **more)


@contextlib.asynccontextmanager
async def serving(tls: Tls | None, settings: TransportSettings | None = None, **options):
    listener = listener_of(fake_data_plane(EchoService()), settings, tls=tls, **options)
    await listener.start("127.0.0.1", 0)
    try:
        yield listener
    finally:
        await listener.aclose()


def client(ca: Authority, *, shows: Issued | None = None, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca.root))
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if shows is not None:
        context.load_cert_chain(shows.certificate, shows.key)
    return context


async def ask(
    listener: HttpListener, context: ssl.SSLContext, *, before: bytes = b""
) -> tuple[bytes, ssl.SSLObject]:
    """Send one request, after ``before`` in the clear; return the answer's status line and the TLS object."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    try:
        writer.write(before)
        await writer.start_tls(context, server_hostname="localhost")
        writer.write(ASK)
        line = await reader.readline()
        if not line:
            raise ConnectionError("closed")
        return line.strip(), writer.get_extra_info("ssl_object")
    finally:
        writer.transport.abort()


def serial(tls: ssl.SSLObject) -> str:
    found = tls.getpeercert()
    assert found is not None
    return str(found["serialNumber"])


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [((), None), (("http/1.1",), "http/1.1"), (("h2", "http/1.1"), "h2"), (("http/1.1", "h2"), "h2")],
)
async def test_alpn(ca: Authority, server: Issued, offered: tuple[str, ...], agreed: str | None) -> None:
    """HTTP/2 where the client has it; what has no word for ALPN speaks HTTP/1.1."""
    async with serving(Tls(settings_of(server))) as listener:
        async with connection(listener.port, ssl=client(ca, alpn=offered), server_hostname="localhost") as (
            reader,
            writer,
        ):
            received = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0" if agreed == "h2" else ASK
            writer.write(received)

            assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == agreed
            answer = await reader.readexactly(9)
            assert answer[3] == 4 if agreed == "h2" else answer.startswith(b"HTTP/1.1")  # 4: SETTINGS
            writer.transport.abort()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("offered", [("spdy/3",), ("http/1.0", "h3"), ("x" * 255,) * 60])
async def test_other_protocols_are_refused(
    ca: Authority, server: Issued, offered: tuple[str, ...], version: ssl.TLSVersion
) -> None:
    """With the alert that is there for it; a client that also has ours is served, whatever else it has."""
    refused, served = client(ca, alpn=offered), client(ca, alpn=(*offered[:20], "http/1.1"))
    refused.maximum_version = served.maximum_version = version
    async with serving(Tls(settings_of(server))) as listener:
        with pytest.raises(ssl.SSLError, match=NO_PROTOCOL):
            await ask(listener, refused)
        assert (await ask(listener, served))[0] == b"HTTP/1.1 200 OK"


async def test_a_hello_in_small_pieces(ca: Authority, server: Issued) -> None:
    """What a client offers is known when all of it has come."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client(ca, alpn=("spdy/3",)).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    async with serving(Tls(settings_of(server))) as listener:
        async with connection(listener.port) as (reader, writer):
            for byte in outgoing.read():
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)
            incoming.write(await reader.read())
            with pytest.raises(ssl.SSLError, match=NO_PROTOCOL):
                tls.do_handshake()
            writer.close()


async def test_without_a_name(ca: Authority, server: Issued) -> None:
    """A client that names no server, as one that connects to an address, is looked at as well."""
    async with serving(Tls(settings_of(server))) as listener:
        for offered in (("spdy/3",), ("http/1.1",), ()):
            context = client(ca, alpn=offered)
            context.check_hostname = False
            connecting = asyncio.open_connection("127.0.0.1", listener.port, ssl=context, server_hostname="")
            if offered == ("spdy/3",):
                with pytest.raises(ssl.SSLError, match=NO_PROTOCOL):
                    await connecting
            else:
                _, writer = await connecting
                writer.transport.abort()


WEAK = [
    "AES128-SHA",
    "AES256-SHA256",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA384",
    "AES128-GCM-SHA256",
]


@pytest.mark.parametrize("kind", ["ec", "rsa"])
@pytest.mark.parametrize("cipher", [*WEAK, "ECDHE-RSA-AES128-SHA256", "ECDHE-RSA-AES256-SHA"])
async def test_weak_ciphers_are_refused(ca: Authority, server: Issued, cipher: str, kind: str) -> None:
    issued = server if kind == "ec" else ca.issue("localhost", key=RSA)
    context = client(ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(Tls(settings_of(issued))) as listener:
        assert (await ask(listener, context))[0] == b"HTTP/1.1 200 OK"
        context.set_ciphers(f"{cipher}:@SECLEVEL=0")
        with pytest.raises(OSError):
            await ask(listener, context)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
async def test_minimum_version(ca: Authority, server: Issued, version) -> None:
    """Older versions than the settings' are refused."""
    context = client(ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(Tls(settings_of(server, min_version=version))) as listener:
        if version == "1.2":
            assert (await ask(listener, context))[0] == b"HTTP/1.1 200 OK"
        else:
            with pytest.raises(OSError):
                await ask(listener, context)


async def test_mutual_tls(ca: Authority, server: Issued, tmp_path: Path) -> None:
    """A certificate that the CA has signed lets in; none, or a stranger's, does not."""
    stranger = Authority(tmp_path, "stranger")
    tls = Tls(settings_of(server, client_ca=str(ca.root)))
    async with serving(tls) as listener:
        assert (await ask(listener, client(ca, shows=ca.issue("friend"))))[0] == b"HTTP/1.1 200 OK"
        for shown in (None, stranger.issue("friend")):
            with pytest.raises(OSError):
                await ask(listener, client(ca, shows=shown))
    assert repr(tls) == f"<Tls {server.certificate}, mutual>"


def reload(tls: Tls) -> bool:
    """Take the files as they are now; return whether they had changed."""
    loaded = tls.read()
    if loaded is not None:
        tls.use(loaded)
    return loaded is not None


async def test_reload_is_for_the_connections_to_come(ca: Authority, server: Issued, tmp_path: Path) -> None:
    """The next connection sees the new certificate, one that is open goes on."""
    files = install(tmp_path, server)
    tls = Tls(settings_of(files))
    async with serving(tls) as listener:
        async with connection(listener.port, ssl=client(ca), server_hostname="localhost") as (reader, writer):
            old = serial((await ask(listener, client(ca)))[1])

            assert reload(tls) is False
            install(tmp_path, ca.issue("localhost"))
            assert reload(tls) is True

            assert serial((await ask(listener, client(ca)))[1]) != old
            writer.write(ASK)
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
            writer.transport.abort()


async def test_reload_forgets_the_old_kind_of_key(ca: Authority, tmp_path: Path) -> None:
    """After RSA was replaced by an elliptic curve nobody is shown the RSA certificate, whatever they prefer."""
    tls = Tls(settings_of(install(tmp_path, ca.issue("localhost", key=RSA))))
    only_rsa = client(ca)
    only_rsa.maximum_version = ssl.TLSVersion.TLSv1_2
    only_rsa.set_ciphers("aRSA")
    async with serving(tls) as listener:
        assert (await ask(listener, only_rsa))[0] == b"HTTP/1.1 200 OK"

        install(tmp_path, ca.issue("localhost"))
        reload(tls)

        with pytest.raises(OSError):
            await ask(listener, only_rsa)


async def test_reload_takes_other_roots(ca: Authority, server: Issued, tmp_path: Path) -> None:
    """Clients of a CA that is no longer trusted stay outside."""
    other = Authority(tmp_path, "other")
    roots = tmp_path / "roots.pem"
    roots.write_text(ca.root.read_text())
    tls = Tls(settings_of(server, client_ca=str(roots)))
    friend = client(ca, shows=ca.issue("friend"))
    async with serving(tls) as listener:
        assert (await ask(listener, friend))[0] == b"HTTP/1.1 200 OK"

        roots.write_text(other.root.read_text())
        assert reload(tls) is True

        with pytest.raises(OSError):
            await ask(listener, friend)


@pytest.mark.parametrize("broken", ["certificate", "key", "mismatch", "absent", "client_ca", "encrypted"])
def test_what_cannot_be_used_is_named_and_changes_nothing(
    ca: Authority, server: Issued, tmp_path: Path, broken: str
) -> None:
    """The context in use stays as it is."""
    files = install(tmp_path, server)
    roots = tmp_path / "roots.pem"
    roots.write_text(ca.root.read_text())
    tls = Tls(settings_of(files, client_ca=str(roots)))
    context = tls.context

    if broken == "mismatch":
        files.key.write_bytes(ca.issue("localhost").key.read_bytes())
    elif broken == "absent":
        files.key.unlink()
    elif broken == "encrypted":
        locked = ca.issue("localhost", key=("-newkey", "rsa:2048", "-passout", "pass:secret"))
        install(tmp_path, locked)
    else:
        {"certificate": files.certificate, "key": files.key, "client_ca": roots}[broken].write_text(
            "nonsense"
        )
    with pytest.raises(TlsError, match=r"roots.pem" if broken == "client_ca" else r"server\.(pem|key)"):
        reload(tls)

    assert tls.context is context
    install(tmp_path, server)
    roots.write_text(ca.root.read_text())
    assert reload(tls) is False


async def test_proxy_header_comes_before_the_handshake(ca: Authority, server: Issued) -> None:
    """In the clear, in one piece with the ClientHello or not; without one there is no handshake."""
    async with serving(Tls(settings_of(server)), proxy_protocol=True) as listener:
        header = b"PROXY TCP4 203.0.113.9 10.0.0.1 4000 443\r\n"
        assert (await ask(listener, client(ca), before=header))[0] == b"HTTP/1.1 200 OK"
        with pytest.raises(OSError):
            await ask(listener, client(ca))


async def test_handshake_that_does_not_come(server: Issued) -> None:
    """It ends with the time limit for a first request."""
    settings = TransportSettings(request_headers_timeout_s=0.1)
    async with serving(Tls(settings_of(server)), settings) as listener:
        async with connection(listener.port) as (reader, writer):
            assert await reader.read() == b""
            writer.close()


async def test_handshakes_under_way_count_as_connections(server: Issued) -> None:
    """Over the limit a connection is closed at once, though nobody has shaken hands yet."""
    settings = TransportSettings(max_connections=2, request_headers_timeout_s=3600)
    async with serving(Tls(settings_of(server)), settings) as listener:
        waiting = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(2)]
        async with connection(listener.port) as (reader, writer):
            async with asyncio.timeout(30):
                assert await reader.read() == b""
            for _, open_writer in (*waiting, (reader, writer)):
                open_writer.transport.abort()


async def test_handshakes_under_way_count_for_their_address(ca: Authority, server: Issued) -> None:
    """One address cannot keep the others out; when its handshakes end it may come again."""
    settings = TransportSettings(
        max_connections=10, max_connections_per_address=3, request_headers_timeout_s=3600
    )
    async with serving(Tls(settings_of(server)), settings) as listener:

        async def knock() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection("127.0.0.1", listener.port, local_addr=("127.0.0.2", 0))

        silent = [await knock() for _ in range(3)]
        for _ in range(10):
            refused, writer = await knock()
            async with asyncio.timeout(30):
                assert await refused.read() == b""
            writer.close()
        assert (await ask(listener, client(ca)))[0] == b"HTTP/1.1 200 OK"
        for _, writer in silent:
            writer.transport.abort()
        async with asyncio.timeout(30):
            while listener.opening:
                await asyncio.sleep(0.005)
        reader, writer = await knock()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read()
        writer.transport.abort()


async def test_drain_does_not_wait_for_handshakes(server: Issued, monkeypatch) -> None:
    """Who says nothing keeps nobody from leaving."""
    monkeypatch.setattr(module, "OPENING_S", 0.05)
    async with serving(
        Tls(settings_of(server)), TransportSettings(request_headers_timeout_s=3600)
    ) as listener:
        with socket.create_connection(("127.0.0.1", listener.port)) as silent:
            await asyncio.sleep(0.02)
            async with asyncio.timeout(30):
                await listener.aclose()

            assert silent.recv(1) == b""


def install(folder: Path, issued: Issued) -> Issued:
    files = Issued(folder / "server.pem", folder / "server.key")
    files.certificate.write_bytes(issued.certificate.read_bytes())
    files.key.write_bytes(issued.key.read_bytes())
    return files
