"""The books of a listener."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.listeners.exchange import Fields
from gateway.listeners.transport import ledger as module
from tests.fakes.application import FakeApplication
from tests.fakes.ledger import books


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


async def test_limits_of_connections():
    """In all and per address; whoever leaves makes room, and an address that is gone is forgotten."""
    async with books(max_connections=3, max_connections_per_address=2) as ledger:
        one, two, three = Known(), Known(), Known()
        ledger.enter(one, "a")
        ledger.enter(two, "a")
        assert not ledger.admits("a")
        assert ledger.admits("b")
        ledger.enter(three, "b")
        assert not ledger.admits("c")
        ledger.leave(three)
        ledger.leave(three)
        ledger.leave(one)
        assert ledger.admits("a")
        ledger.leave(two)
        assert not ledger._per_address


async def test_connections_without_an_address():
    """A UNIX socket's peers have none: only the limit in all holds for them."""
    async with books(max_connections_per_address=1) as ledger:
        ledger.enter(Known(), "")

        assert ledger.admits("")


async def test_one_stands_for_another():
    """A connection that finds out what it speaks keeps its place."""
    async with books(max_connections_per_address=1) as ledger:
        door, speaker = Known(), Known()
        ledger.enter(door, "a")
        ledger.move(door, speaker)
        ledger.leave(door)
        assert not ledger.admits("a")
        ledger.leave(speaker)
        assert ledger.admits("a")


async def test_one_sweep_for_all(monkeypatch, caplog):
    """A connection that fails at it does not switch off the limits of the others."""
    monkeypatch.setattr(module, "SWEEP_S", 0.01)
    async with books() as ledger:
        failing, known = Failing(), Known()
        ledger.enter(failing, "a")
        ledger.enter(known, "a")
        with caplog.at_level(logging.ERROR):
            async with asyncio.timeout(5):
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
    """Everyone is told; nobody new is admitted; the end is when the last has left, or in time."""
    async with books() as ledger:
        known = Known()
        ledger.enter(known, "a")
        ledger.begin_drain()
        assert known.told == ["drain"]
        assert not ledger.admits("b")
        assert repr(ledger) == "<Ledger draining, 1 connections, 0 running, 0 bytes buffered>"
        assert not await ledger.ended(ledger.loop.time() + 0.01)
        ledger.loop.call_later(0.01, ledger.leave, known)
        assert await ledger.ended(ledger.loop.time() + 5)


@pytest.mark.parametrize("count", [0, 3])
async def test_closing_ends_every_connection(count):
    """And the sweep."""
    async with books() as ledger:
        everyone = [Known() for _ in range(count)]
        for known in everyone:
            ledger.enter(known, "a")
        await ledger.aclose()

        assert all(known.told == ["abort"] for known in everyone)
        assert ledger._sweeping.done()
