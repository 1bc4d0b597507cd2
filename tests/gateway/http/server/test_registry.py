"""The connections of a listener."""

from __future__ import annotations

import asyncio

import pytest

from gateway.http.server.address_limits import AddressLimits
from gateway.http.server.registry import ConnectionRegistry
from gateway.http.server.settings import TransportSettings
from tests.fakes.connection import FakeConnection, register
from tests.fakes.virtual_time import virtual_time


def limits(most: int = 10) -> AddressLimits:
    return AddressLimits(TransportSettings(max_connections_per_address=most))


async def test_who_is_removed_makes_room():
    """Once."""
    registry, of_addresses = ConnectionRegistry(), limits(2)
    one, two = FakeConnection(), FakeConnection()
    usage = register(registry, of_addresses, one)
    register(registry, of_addresses, two)
    assert not usage.admit()
    registry.remove(two)
    registry.remove(two)

    assert (usage.connections, len(registry), registry.all) == (1, 1, (one,))
    assert repr(registry) == "<ConnectionRegistry, 1 connections>"


async def test_one_stands_for_another():
    """A connection whose protocol is found out keeps its place."""
    registry, of_addresses = ConnectionRegistry(), limits(1)
    sniffer, connection = FakeConnection(), FakeConnection()
    usage = register(registry, of_addresses, sniffer)
    registry.replace(sniffer, connection)
    registry.remove(sniffer)
    assert not usage.admit()
    registry.remove(connection)
    assert usage.admit()


async def test_a_sweep_that_fails(caplog: pytest.LogCaptureFixture):
    """That connection ends; the limits of the others hold on."""

    class Failing(FakeConnection):
        def sweep(self, now: float) -> None:
            raise ZeroDivisionError("secret")

    registry, of_addresses = ConnectionRegistry(), limits()
    failing, known = Failing(), FakeConnection()
    register(registry, of_addresses, failing)
    register(registry, of_addresses, known)
    registry.sweep(1.0)

    assert (failing.calls, known.calls) == (["abort"], ["sweep"])
    assert "secret" in caplog.text


@virtual_time
async def test_waiting_for_the_last():
    """Until it has gone, or the time is over."""
    registry, loop = ConnectionRegistry(), asyncio.get_running_loop()
    began = loop.time()
    assert await registry.wait_until_empty(loop.time())
    known = FakeConnection()
    register(registry, limits(), known)

    assert not await registry.wait_until_empty(loop.time() + 1)
    loop.call_later(1, registry.remove, known)
    assert await registry.wait_until_empty(loop.time() + 5)
    assert loop.time() - began == 2


async def test_ending_all():
    """Gently, and at once."""
    registry, known = ConnectionRegistry(), FakeConnection()
    register(registry, limits(), known)
    registry.drain()
    registry.abort()

    assert known.calls == ["drain", "abort"]
