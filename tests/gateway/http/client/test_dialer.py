"""Connecting takes a bounded time, whatever name servers and hosts do, and goes where somebody answers."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gateway.http.client.addresses import Addresses
from gateway.http.client.dialer import Dialer
from tests.fakes.names import Names
from tests.fakes.redis_server import free_port
from tests.fakes.upstreams import scripted_peer, until


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


def dialer(host: str, port: int, connect_timeout_s: float = 30.0) -> Dialer:
    addresses = Addresses(host, port, timeout_s=30.0, refresh_s=5.0)
    return Dialer(addresses, host, port, connect_timeout_s=connect_timeout_s)


class Kept(asyncio.Protocol):
    """A connection that its test closes."""

    open = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        Kept.open += 1

    def connection_lost(self, _error: Exception | None) -> None:
        Kept.open -= 1

    def close(self) -> None:
        self.transport.abort()


@contextmanager
def deaf(host: str, port: int) -> Iterator[None]:
    """An address that takes no connection and says nothing: its queue is full."""
    server = socket.socket()
    server.bind((host, port))
    server.listen(0)
    guests = [socket.socket() for _ in range(2)]
    for guest in guests:
        guest.setblocking(False)
        guest.connect_ex((host, port))
    try:
        yield
    finally:
        for each in (*guests, server):
            each.close()


async def test_an_address_that_refuses_is_passed_over(monkeypatch):
    """At once, and from then on it is the last one that is tried."""
    Names(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    async with scripted_peer(silent) as peer:
        dial = dialer("far", peer.port)
        (await dial.dial(Kept)).close()

        assert await dial.addresses.resolve() == ["127.0.0.1", "127.0.0.2"]
        assert repr(dial) == f"<Dialer of far:{peer.port}, <Addresses of far, 2, 1 failed>>"


async def test_an_address_that_is_silent_is_overtaken(monkeypatch):
    """A quarter of a second later the next one is tried, too; the slower one is known from then on."""
    Names(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    async with scripted_peer(silent) as peer:
        with deaf("127.0.0.2", peer.port):
            dial = dialer("far", peer.port, connect_timeout_s=5.0)
            protocol = await dial.dial(Kept)
            assert protocol.transport.get_extra_info("peername")[0] == "127.0.0.1"
            protocol.close()

            assert dial.addresses.is_suspect("127.0.0.2")
    await until(lambda: Kept.open == 0)


async def test_both_families(monkeypatch):
    """A server on IPv4 alone, behind a name that has IPv6 as well."""
    Names(monkeypatch, ["::1", "127.0.0.1"])
    async with scripted_peer(silent) as peer:
        protocol = await dialer("far", peer.port).dial(Kept)

        assert protocol.transport.get_extra_info("peername")[0] == "127.0.0.1"
        protocol.close()


async def test_all_silent_ends_in_time(monkeypatch):
    """The time is for all of them together, and no attempt outlives it."""
    Names(monkeypatch, ["127.0.0.2", "127.0.0.3"])
    port = free_port()
    with deaf("127.0.0.2", port), deaf("127.0.0.3", port):
        before = asyncio.all_tasks()
        with pytest.raises(TimeoutError):
            await dialer("far", port, 0.2).dial(Kept)

    assert asyncio.all_tasks() == before


async def test_who_stops_waiting_leaves_no_connection(monkeypatch):
    """Cancelled while two addresses are being tried."""
    Names(monkeypatch, ["127.0.0.2", "127.0.0.3"])
    port = free_port()
    with deaf("127.0.0.2", port), deaf("127.0.0.3", port):
        before = asyncio.all_tasks()
        dialing = asyncio.create_task(dialer("far", port, 30).dial(Kept))
        # The task that dials, and one for each address.
        await until(lambda: len(asyncio.all_tasks() - before) == 3)
        dialing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialing

    assert asyncio.all_tasks() == before
    assert Kept.open == 0


async def test_after_a_failure_the_name_is_asked_for_again(monkeypatch):
    """It may point elsewhere by now."""
    names = Names(monkeypatch, ["127.0.0.1"])
    dial = dialer("far", free_port())

    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            await dial.dial(Kept)

    assert names.lookups == 2


@pytest.mark.parametrize("received", [[], UnicodeError("label too long")], ids=["no address", "no name"])
async def test_names_that_are_none(monkeypatch, received):
    """They are failures to connect like any other."""
    Names(monkeypatch, received)

    with pytest.raises(OSError, match="name"):
        await dialer("far", 1).dial(Kept)


async def test_what_we_lack_is_held_against_no_address(monkeypatch):
    """Without a descriptor of ours nobody can be connected to."""
    Names(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    dial = dialer("far", free_port())

    async def lacking(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", lacking)
    with pytest.raises(OSError, match="Too many open files"):
        await dial.dial(Kept)

    assert not any(map(dial.addresses.is_suspect, ("127.0.0.1", "127.0.0.2")))
