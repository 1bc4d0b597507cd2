"""Room for a newcomer: who holds all connections idle keeps nobody out."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.core.clock import LoopClock
from gateway.http.server.address_limits import AddressLimits
from gateway.http.server.listener import HttpListener
from gateway.http.server.making_room import make_room
from gateway.http.server.registry import ConnectionRegistry
from gateway.http.server.settings import TransportSettings
from tests.fakes.application import FakeApplication
from tests.fakes.http import get, read_answer
from tests.fakes.loops import both_loops


class Held:
    """A connection; ``busy``: a request is under way."""

    def __init__(self, *, busy: bool = False) -> None:
        self.busy, self.is_over = busy, False

    def sweep(self, now: float) -> None:
        raise AssertionError("nobody sweeps")

    def drain(self) -> None:
        raise AssertionError("nobody drains")

    def abort(self) -> None:
        raise AssertionError("nobody asks")

    def give_way(self) -> bool:
        self.is_over = not self.busy
        return self.is_over


def held_by(*counts: tuple[str, int], busy: bool = False) -> tuple[ConnectionRegistry, dict[str, list[Held]]]:
    registry, limits = ConnectionRegistry(), AddressLimits(TransportSettings())
    connections: dict[str, list[Held]] = {}
    for address, count in counts:
        for _ in range(count):
            connection = Held(busy=busy)
            usage = limits.of(address)
            usage.admit()
            registry.add(connection, usage)
            connections.setdefault(address, []).append(connection)
    return registry, connections


def over(connections: list[Held]) -> int:
    return sum(each.is_over for each in connections)


def test_the_heaviest_gives_way() -> None:
    """An eighth of its connections at once, the oldest first; nobody else loses any."""
    registry, held = held_by(("10.0.0.1", 3), ("10.0.0.2", 80))

    assert make_room([registry], "10.0.0.9")

    assert over(held["10.0.0.1"]) == 0
    assert [each.is_over for each in held["10.0.0.2"]] == [True] * 10 + [False] * 70


@pytest.mark.parametrize(
    ("own", "most", "ended"), [(0, 2, 1), (4, 6, 1), (5, 6, 0), (6, 6, 0), (0, 1, 0), (60, 70, 8)]
)
def test_nobody_takes_from_who_has_less(own: int, most: int, ended: int) -> None:
    """A newcomer never has more than is left to the one who gives way."""
    registry, held = held_by(("10.0.0.1", own), ("10.0.0.2", most))

    assert make_room([registry], "10.0.0.1") == (ended > 0)

    assert over(held["10.0.0.2"]) == ended
    assert over(held.get("10.0.0.1", [])) == 0


def test_who_stands_for_many_is_left_alone() -> None:
    """A gateway of ours has most, since many are behind it."""
    registry, limits = ConnectionRegistry(), AddressLimits(TransportSettings(), {"10.0.0.2"}.__contains__)
    held = [Held() for _ in range(10)]
    for connection, address in zip(held, ["10.0.0.2"] * 7 + ["10.0.0.3"] * 3, strict=True):
        registry.add(connection, limits.of(address))

    assert make_room([registry], "10.0.0.9")
    assert [each.is_over for each in held] == [False] * 7 + [True] + [False] * 2


def test_requests_go_on() -> None:
    """A connection with a request is not ended, however many of them an address has."""
    registry, held = held_by(("10.0.0.2", 50), busy=True)

    assert not make_room([registry], "10.0.0.1")

    held["10.0.0.2"][30].busy = False
    assert make_room([registry], "10.0.0.1")
    assert held["10.0.0.2"][30].is_over


def test_all_listeners_count() -> None:
    """Whoever fills one port makes room for those who come to the other; without connections there is none."""
    first, held = held_by(("10.0.0.2", 20))
    second, others = held_by(("10.0.0.1", 5))

    assert make_room([first, second], "10.0.0.1")
    assert over(held["10.0.0.2"]) == 2
    assert over(others["10.0.0.1"]) == 0
    assert not make_room([ConnectionRegistry()], "10.0.0.1")


async def connect(listener: HttpListener, own: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", listener.port, local_addr=(own, 0))


async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    writer.write(get("/now"))
    return (await read_answer(reader)).status


@both_loops
@pytest.mark.parametrize(
    "first",
    [b"", b"GET /now HTTP/1.1\r\nhos", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", get("/now")],
)
async def test_idle_connections_keep_nobody_out(first: bytes):
    """Whatever they wait with: a first byte, a head, a first stream, or the next request."""
    settings = TransportSettings(max_connections=16)
    listener = HttpListener(FakeApplication(), LoopClock(), settings)
    await listener.start("127.0.0.1", 0)
    writers: list[Any] = []
    for _ in range(16):
        reader, writer = await connect(listener, "127.0.0.8")
        writer.write(first)
        writers.append(writer)
    while len(listener.context.registry) < 16:
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)

    for _ in range(4):
        reader, writer = await connect(listener, "127.0.0.1")
        assert await answered(reader, writer) == 200
        writers.append(writer)

    assert len(listener.context.registry) <= 16
    for writer in writers:
        writer.close()
    await listener.aclose(1.0)
