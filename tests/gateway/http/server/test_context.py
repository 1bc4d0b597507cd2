"""The books of a listener."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.http.exchange import Fields
from gateway.http.server import context as module
from gateway.http.server.address_limits import AddressUsage
from gateway.http.server.context import ServerContext
from tests.fakes.application import FakeApplication
from tests.fakes.server_context import books


class Known:
    """A connection as the ledger knows it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def sweep(self, now: float) -> None:
        self.told.append("sweep")

    def drain(self) -> None:
        self.told.append("drain")

    def abort(self) -> None:
        self.told.append("abort")


class Failing(Known):
    """One whose sweep fails."""

    def sweep(self, now: float) -> None:
        raise ZeroDivisionError("secret")


def enter(ledger: ServerContext, connection: Known) -> AddressUsage:
    account = ledger.accounts.of("a")
    assert account.admit()
    ledger.enter(connection, account)
    return account


async def test_whoever_leaves_makes_room():
    """Once."""
    async with books(max_connections_per_address=2) as ledger:
        one, two = Known(), Known()
        account = enter(ledger, one)
        enter(ledger, two)
        assert not account.admit()
        ledger.leave(two)
        ledger.leave(two)
        assert account.connections == 1
        ledger.leave(one)


async def test_one_stands_for_another():
    """A connection that finds out what it speaks keeps its place."""
    async with books(max_connections_per_address=1) as ledger:
        door, speaker = Known(), Known()
        account = enter(ledger, door)
        ledger.move(door, speaker)
        ledger.leave(door)
        assert not account.admit()
        ledger.leave(speaker)
        assert account.admit()


async def test_one_sweep_for_all(monkeypatch, caplog):
    """A connection that fails at it does not switch off the limits of the others."""
    monkeypatch.setattr(module, "SWEEP_S", 0.01)
    async with books() as ledger:
        failing, known = Failing(), Known()
        enter(ledger, failing)
        enter(ledger, known)
        with caplog.at_level(logging.ERROR):
            async with asyncio.timeout(30):
                while len(known.told) < 3:
                    await asyncio.sleep(0.005)

        assert "abort" in failing.told
        assert "secret" in caplog.text
        ledger.leave(failing)
        ledger.leave(known)


async def test_heads_are_rendered_for_as_long_as_the_time_is_the_same():
    """The same head is the same bytes; unknown statuses have words of their own; the store is bounded."""
    async with books() as ledger:
        fields = Fields((b"a", b"1"))
        head = ledger.head(200, fields)
        assert head is ledger.head(200, fields)
        assert head.startswith(b"HTTP/1.1 200 OK\r\ndate: ")
        assert head.endswith(b" GMT\r\nserver: edgeway\r\na: 1\r\n")
        assert ledger.head(499, fields).startswith(b"HTTP/1.1 499 Client Closed Request\r\n")
        for _ in range(1000):
            ledger.head(200, Fields())
        assert len(ledger._heads) <= 256


async def test_a_refusal_that_fails(caplog):
    """There is a plain one behind it."""

    class Silent(FakeApplication):
        def refuse(self, head, status, message):
            raise ZeroDivisionError("secret")

    async with books(Silent()) as ledger:
        answer = ledger.refusal(None, 400, "no")

    assert (answer.status, answer.close) == (500, True)
    assert answer.body == (b'{"error":"internal error"}',)
    assert "secret" in caplog.text


async def test_drain_and_end():
    """Everyone is told; the end is when the last has left, or in time."""
    async with books() as ledger:
        known = Known()
        enter(ledger, known)
        ledger.begin_drain()
        assert known.told == ["drain"]
        assert repr(ledger) == "<ServerContext draining, 1 connections, 0 running, 0 bytes buffered>"
        assert not await ledger.ended(ledger.loop.time() + 0.01)
        ledger.loop.call_later(0.01, ledger.leave, known)
        assert await ledger.ended(ledger.loop.time() + 5)


@pytest.mark.parametrize("count", [0, 3])
async def test_closing_ends_every_connection(count):
    """And the sweep."""
    async with books() as ledger:
        everyone = [Known() for _ in range(count)]
        for known in everyone:
            enter(ledger, known)
        await ledger.aclose()

        assert all(known.told == ["abort"] for known in everyone)
        assert ledger._sweeping.done()
