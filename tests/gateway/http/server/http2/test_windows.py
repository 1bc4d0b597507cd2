"""When windows open again, and what counts as buffered."""

from __future__ import annotations

from typing import Any

from gateway.http.exchange import BodyPolicy, Head
from gateway.http.server.address_limits import AddressLimits
from gateway.http.server.body_stream import BodyStream
from gateway.http.server.http2.stream import Http2Stream
from gateway.http.server.http2.windows import Http2Windows
from gateway.http.server.settings import TransportSettings

HEAD = Head("POST", "/x", ())
MIB = 1 << 20


class FakeEngine:
    """Notes what is acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: list[tuple[int, int]] = []

    def acknowledge(self, size: int, stream: int) -> None:
        self.acknowledged.append((stream, size))

    def flush(self) -> None:
        """There is nothing to write."""


class World:
    """Windows over a fake engine; the address may hold 1 MiB, and much is half of that."""

    def __init__(self) -> None:
        settings = TransportSettings(
            max_buffered_mib=2,
            max_buffered_percent_per_address=50,
            max_buffered_percent_of_strangers=100,
            initial_stream_window_kib=64,
        )
        self.usage = AddressLimits(settings).of("a")
        engine: Any = FakeEngine()
        self.acknowledged = engine.acknowledged
        self.windows = Http2Windows(engine, engine, settings)

    def stream(self, number: int, *, size: int = 0, is_stream: bool = False) -> Http2Stream:
        stream = Http2Stream(number, HEAD, BodyPolicy(MIB, is_stream=is_stream), self.usage.booking(), 0.0)
        if is_stream:
            stream.body = BodyStream(lambda _flows: None)
        if size:
            assert self.windows.take(stream, size)
            stream.add(bytes(size))
        return stream


async def test_whole_bodies_are_acknowledged_as_they_come():
    world = World()
    stream = world.stream(1, size=100)
    assert (world.acknowledged, world.usage.held) == ([(1, 100)], 100)

    world.windows.release(stream)
    assert (world.acknowledged, world.usage.held) == ([(1, 100)], 0)


async def test_they_wait_for_answers_while_an_address_holds_much():
    """An answer under way makes room; without one, to wait could be for ever."""
    world = World()
    first = world.stream(1, size=MIB // 2 + 1)
    world.windows.begin_answering(first)
    second = world.stream(3, size=50)
    assert world.acknowledged == [(1, MIB // 2 + 1)]
    assert repr(world.windows) == f"<Http2Windows, {MIB // 2 + 1} bytes being answered, 1 streams wait>"

    world.windows.release(first)
    assert world.acknowledged[1:] == [(3, 50)]
    world.stream(5, size=MIB // 2)
    assert world.acknowledged[2:] == [(5, MIB // 2)]
    world.windows.release(second)


async def test_streamed_bodies_are_acknowledged_as_they_are_read():
    """And counted until the application is done with them."""
    world = World()
    stream = world.stream(1, size=100, is_stream=True)
    assert world.acknowledged == []

    world.windows.read(stream, 60)
    assert (world.acknowledged, world.usage.held) == ([(1, 60)], 100)
    world.windows.consumed(stream, 60)
    assert world.usage.held == 40

    world.windows.release(stream)
    assert (world.acknowledged, world.usage.held) == ([(1, 60), (1, 40)], 0)


async def test_what_was_released_counts_no_more():
    """A reader that goes on afterwards changes nothing."""
    world = World()
    stream = world.stream(1, size=100, is_stream=True)
    world.windows.release(stream)
    world.windows.read(stream, 100)
    world.windows.consumed(stream, 100)
    world.windows.release(stream)

    assert (world.acknowledged, world.usage.held) == ([(1, 100)], 0)


async def test_room_is_limited():
    """By the address's share; of a streamed body, only its window is sure of room."""
    world = World()
    world.stream(1, size=MIB)

    assert not world.windows.take(world.stream(3), 1)
    assert not world.windows.take(world.stream(5, is_stream=True), 1)
