"""What a process listens on."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.admin.listener import AdminListener
from gateway.app.errors import StartError
from gateway.app.servers import Opener, Servers
from gateway.app.workers.inheritance import Inheritance
from gateway.config.settings import ListenSettings
from gateway.core.clock import LoopClock
from gateway.http.server.settings import TransportSettings
from gateway.http.server.tls import Tls, TlsSettings
from gateway.listeners.oip.extensions import Extensions
from gateway.wire.trust import Trust
from tests.fakes.application import connection
from tests.fakes.certificates import Authority
from tests.fakes.data_plane import EchoService, FakeGeneration, fake_data_plane

ANY = "127.0.0.1:0"
SETTINGS = ListenSettings(http=ANY, grpc=ANY, admin=ANY)


async def report() -> dict[str, object]:
    return {"ready": True, "generation": 1}


async def metrics() -> bytes:
    return b"edgeway_up 1\n"


async def opened(
    lifetimes: AsyncExitStack,
    settings: ListenSettings,
    *,
    tls: Tls | None = None,
    inheritance: Inheritance | None = None,
    **options: Any,
) -> Servers:
    opener = Opener(settings, LoopClock(), lifetimes, tls, inheritance)
    admin = await opener.open_admin(AdminListener(health=report, metrics=metrics, policy=report))
    return await opener.open_servers(fake_data_plane(EchoService(), **options), Extensions(), admin)


async def is_live(port: int) -> bool:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/v2/health/live") as answer,
    ):
        return answer.status == 200


async def test_all_ports() -> None:
    """Each is open, and shown in one line."""
    async with AsyncExitStack() as lifetimes:
        servers = await opened(lifetimes, SETTINGS)
        assert servers.http and servers.grpc and servers.admin

        assert await is_live(servers.http.port)
        assert await is_live(servers.grpc.port)
        assert repr(servers) == (
            f"<Servers http port {servers.http.port}, grpc port {servers.grpc.port},"
            f" admin port {servers.admin.port}>"
        )


async def test_lists_of_addresses() -> None:
    """All of them serve and are shown; a drain closes all."""
    async with AsyncExitStack() as lifetimes:
        servers = await opened(lifetimes, ListenSettings(http=(ANY, ANY), grpc=(ANY, ANY), admin=None))
        assert servers.http and servers.grpc
        ports = {name: listener.port for name, listener in servers.more.items()}
        assert list(ports) == ["http[1]", "grpc[1]"]
        for name, port in ports.items():
            assert f"{name} port {port}" in servers.addresses()
        everywhere = (servers.http.port, servers.grpc.port, *ports.values())
        assert [await is_live(port) for port in everywhere] == [True] * 4

        async def finished(limit_s: float) -> bool:
            return True

        await servers.stop(finished, 1)

        for port in everywhere:
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)


async def test_a_list_with_an_address_that_is_taken() -> None:
    """It is named, and the address before it is free again."""
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as freed:
        port, address = freed.getsockname()[1], f"127.0.0.1:{taken.getsockname()[1]}"
        freed.close()
        with pytest.raises(StartError, match=f"cannot listen on {address}"):
            async with AsyncExitStack() as lifetimes:
                await opened(lifetimes, ListenSettings(http=(f"127.0.0.1:{port}", address), admin=None))

        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_a_trusted_gateway_is_not_one_client() -> None:
    """It may have more connections than one address may; others may not."""
    transport = TransportSettings(max_connections_per_address=1)
    for gateways, open_ones in ((["127.0.0.0/8"], 3), ([], 1)):
        async with AsyncExitStack() as lifetimes:
            settings = ListenSettings(http=ANY, grpc=None, admin=None, transport=transport)
            servers = await opened(lifetimes, settings, trust=Trust(gateways=gateways))
            assert servers.http
            readers = []
            for _ in range(3):
                reader, writer = await lifetimes.enter_async_context(connection(servers.http.port))
                writer.write(b"GET /v2/health/live HTTP/1.1\r\nhost: a\r\n\r\n")
                readers.append(reader)
            answers = [
                (await asyncio.gather(reader.read(12), return_exceptions=True))[0] for reader in readers
            ]
            assert answers.count(b"HTTP/1.1 200") == open_ones


async def test_both_ports_have_one_book() -> None:
    """Who has come to one port with all that an address may have gets nothing more at the other."""
    transport = TransportSettings(max_connections_per_address=1)
    settings = ListenSettings(http=ANY, grpc=ANY, admin=None, transport=transport)
    async with AsyncExitStack() as lifetimes:
        servers = await opened(lifetimes, settings, trust=Trust())
        assert servers.http and servers.grpc
        assert servers.http.context.address_limits is servers.grpc.context.address_limits
        async with connection(servers.grpc.port) as (reader, writer):
            writer.write(b"GET /v2/health/live HTTP/1.1\r\nhost: a\r\n\r\n")
            assert await reader.read(12) == b"HTTP/1.1 200"
            with pytest.raises(aiohttp.ClientError):
                await is_live(servers.http.port)
            writer.transport.abort()


async def test_absent_ports_are_not_opened() -> None:
    """An address that is null opens nothing."""
    async with AsyncExitStack() as lifetimes:
        servers = await opened(lifetimes, ListenSettings(http=ANY, grpc=None, admin=None))

        assert servers.grpc is None
        assert servers.admin is None
    assert repr(Servers(LoopClock())) == "<Servers on nothing>"


@pytest.mark.parametrize("port", ["http", "grpc", "admin"])
async def test_address_that_is_taken(port: str) -> None:
    """The start ends and names it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = ListenSettings(**{"http": ANY, "grpc": ANY, "admin": ANY, port: address})
        async with AsyncExitStack() as lifetimes:
            with pytest.raises(StartError, match=f"cannot listen on {address}"):
                await opened(lifetimes, settings)


async def test_ports_behind_tls(tmp_path: Path) -> None:
    """With a certificate both ports for clients speak TLS, and the admin port does not."""
    ca = Authority(tmp_path)
    issued = ca.issue("localhost")
    tls = Tls(TlsSettings(certificate=str(issued.certificate), key=str(issued.key)))
    trusting = ssl.create_default_context(cafile=str(ca.root))
    async with AsyncExitStack() as lifetimes:
        servers = await opened(lifetimes, SETTINGS, tls=tls)
        assert servers.http and servers.grpc and servers.admin

        for port in (servers.http.port, servers.grpc.port):
            async with connection(port, ssl=trusting, server_hostname="localhost") as (_, writer):
                writer.transport.abort()
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{servers.admin.port}/metrics") as answer,
        ):
            assert await answer.read() == b"edgeway_up 1\n"


async def test_worker_takes_what_it_inherits(tmp_path: Path, caplog) -> None:
    """It serves the parent's socket, reports on its own, and opens no address by itself."""
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
            servers = await opened(lifetimes, SETTINGS, inheritance=inheritance)
            assert servers.http is not None

            assert servers.http.port == parents.getsockname()[1]
            assert await is_live(servers.http.port)
            assert servers.grpc is None
            assert "listen.grpc is new" in caplog.text
            assert (tmp_path / "1.sock").is_socket()


class LeapingClock(LoopClock):
    """The loop's clock, ahead by ``leap_s`` seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.leap_s = 0.0

    def now(self) -> float:
        return super().now() + self.leap_s


async def test_stop_waits_for_what_was_accepted() -> None:
    """No new connection; then the stacks; then what is still open, within one limit for all."""
    clock, limits = LeapingClock(), []

    async def finished(limit_s: float) -> bool:
        limits.append(limit_s)
        clock.leap_s = limit_s
        return False

    async with AsyncExitStack() as lifetimes:
        servers = replace(await opened(lifetimes, SETTINGS), clock=clock)
        assert servers.http is not None
        async with connection(servers.http.port) as (reader, writer):
            async with asyncio.timeout(30):
                await servers.stop(finished, 3600)
                assert await reader.read() == b"", (
                    "the stacks took all the time, none is left for connections"
                )

            assert limits == [3600]
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", servers.http.port)
            writer.transport.abort()


async def test_when_not_even_a_refusal_can_be_rendered() -> None:
    """The answer is an error in JSON all the same."""
    generations = [FakeGeneration(EchoService())]

    def broken() -> Any:
        if not generations:
            raise ZeroDivisionError("secret")
        return generations.pop()

    async with AsyncExitStack() as lifetimes:
        servers = await opened(lifetimes, SETTINGS, generation=broken)
        assert servers.http is not None
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{servers.http.port}/v2") as answer,
        ):
            assert (answer.status, await answer.json()) == (500, {"error": "internal error"})
