"""What a process listens on."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from gateway.app.errors import StartError
from gateway.app.servers import Servers
from gateway.app.workers.inheritance import Inheritance
from gateway.config.settings import ListenSettings
from gateway.core.clock import LoopClock
from gateway.http.server.tls import TlsSettings
from tests.fakes.certificates import Authority
from tests.fakes.data_plane import EchoService, fake_data_plane

ANY = "127.0.0.1:0"
SETTINGS = ListenSettings(http=ANY, grpc=ANY, admin=ANY)


async def report() -> dict[str, object]:
    return {"ready": True, "generation": 1}


async def metrics() -> bytes:
    return b"edgeway_up 1\n"


async def opened(
    lifetimes: AsyncExitStack, settings: ListenSettings, inheritance: Inheritance | None = None
) -> Servers:
    listening = Servers(settings, LoopClock(), inheritance)
    await listening.open_admin(lifetimes, health=report, metrics=metrics, policy=report)
    await listening.open(lifetimes, fake_data_plane(EchoService()), None)
    return listening


async def is_live(port: int) -> bool:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/v2/health/live") as answer,
    ):
        return answer.status == 200


async def test_all_ports() -> None:
    """Each is open, and told in one line."""
    async with AsyncExitStack() as lifetimes:
        listening = await opened(lifetimes, SETTINGS)
        assert listening.http and listening.grpc and listening.admin

        assert await is_live(listening.http.port)
        assert await is_live(listening.grpc.port)
        assert repr(listening) == (
            f"<Servers http port {listening.http.port}, grpc port {listening.grpc.port},"
            f" admin port {listening.admin.port}>"
        )


async def test_absent_ports_are_not_opened() -> None:
    """An address that is null opens nothing."""
    async with AsyncExitStack() as lifetimes:
        listening = await opened(lifetimes, ListenSettings(http=ANY, grpc=None, admin=None))

        assert listening.grpc is None
        assert listening.admin is None
    assert repr(Servers(SETTINGS, LoopClock())) == "<Servers on nothing>"


@pytest.mark.parametrize("port", ["http", "grpc", "admin"])
async def test_address_that_is_taken(port: str) -> None:
    """The start ends and names it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = ListenSettings(**{"http": ANY, "grpc": ANY, "admin": ANY, port: address})
        async with AsyncExitStack() as lifetimes:
            with pytest.raises(StartError, match=f"cannot listen on {address}"):
                await opened(lifetimes, settings)


async def test_certificate_that_cannot_be_used() -> None:
    """The start ends and names the file."""
    settings = ListenSettings(
        http=ANY, grpc=None, admin=None, tls=TlsSettings(certificate="absent.pem", key="a.key")
    )
    async with AsyncExitStack() as lifetimes:
        with pytest.raises(StartError, match=r"listen\.tls: absent\.pem"):
            await opened(lifetimes, settings)


async def test_certificates_are_taken_anew(tmp_path: Path, caplog) -> None:
    """The log says when they were, and when they could not be; without TLS there is nothing to take."""
    caplog.set_level("INFO", "edgeway")
    ca = Authority(tmp_path)
    first, second = ca.issue("localhost"), ca.issue("localhost")
    tls = TlsSettings(certificate=str(first.certificate), key=str(first.key))
    async with AsyncExitStack() as lifetimes:
        listening = await opened(lifetimes, ListenSettings(http=ANY, grpc=None, admin=None, tls=tls))

        listening.reload_certificates()
        assert "new certificates" not in caplog.text
        first.certificate.write_bytes(second.certificate.read_bytes())
        listening.reload_certificates()
        assert "the certificates were not taken, the old ones stay" in caplog.text
        first.key.write_bytes(second.key.read_bytes())
        listening.reload_certificates()
        assert "new certificates are in use" in caplog.text
    Servers(SETTINGS, LoopClock()).reload_certificates()


async def test_worker_takes_what_it_inherits(tmp_path: Path, caplog) -> None:
    """It serves the parent's socket, tells of itself on its own, and opens no address by itself."""
    with socket.create_server(("127.0.0.1", 0)) as parents:
        inheritance = Inheritance(
            number=0,
            serial=1,
            sockets={"http": os.dup(parents.fileno())},
            ready=-1,
            lifeline=-1,
            admin=str(tmp_path / "1.sock"),
            parent=str(tmp_path / "parent.sock"),
        )
        async with AsyncExitStack() as lifetimes:
            listening = await opened(lifetimes, SETTINGS, inheritance)
            assert listening.http is not None

            assert listening.http.port == parents.getsockname()[1]
            assert await is_live(listening.http.port)
            assert listening.grpc is None
            assert "listen.grpc is new" in caplog.text
            assert (tmp_path / "1.sock").is_socket()


async def test_stop_waits_for_what_was_accepted() -> None:
    """No new connection; then the stacks; then what is still open, within one limit for all."""
    limits: list[float] = []

    async def finished(limit_s: float) -> bool:
        limits.append(limit_s)
        return False

    async with AsyncExitStack() as lifetimes:
        listening = await opened(lifetimes, SETTINGS)
        assert listening.http is not None
        _, writer = await asyncio.open_connection("127.0.0.1", listening.http.port)
        began = asyncio.get_running_loop().time()

        await listening.stop(finished, 0.2)

        assert limits == [0.2]
        assert 0.1 < asyncio.get_running_loop().time() - began < 2
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", listening.http.port)
        writer.transport.abort()
