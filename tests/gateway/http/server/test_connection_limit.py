"""One limit for several listeners."""

from __future__ import annotations

import asyncio

from gateway.core.clock import LoopClock
from gateway.http.server.connection_limit import ConnectionLimit
from gateway.http.server.listener import HttpListener
from gateway.http.server.registry import ConnectionRegistry
from tests.fakes.application import FakeApplication
from tests.fakes.http import get, read_answer
from tests.fakes.loops import both_loops


async def test_it_counts_what_there_is() -> None:
    """Of all that it was given, registered or not, as they are, until they are forgotten."""
    first, second, opening = ConnectionRegistry(), ConnectionRegistry(), [1]
    limit = ConnectionLimit(2)
    limit.count(first, opening)
    limit.count(second, [1])
    assert limit.is_reached()
    assert limit.registries == (first, second)
    assert repr(limit) == "<ConnectionLimit, 2 of 2>"

    opening.clear()
    assert not limit.is_reached()
    limit.forget(second)
    limit.forget(second)
    assert repr(limit) == "<ConnectionLimit, 0 of 2>"


async def connected(listener: HttpListener) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", listener.port)


@both_loops
async def test_listeners_share_it(caplog):
    """One more connection is closed at once, whichever port it comes to; there is room again when one ends."""
    limit = ConnectionLimit(2)
    listeners = [HttpListener(FakeApplication(), LoopClock(), shared_limit=limit) for _ in range(2)]
    for listener in listeners:
        await listener.start("127.0.0.1", 0)
    held = [await connected(listener) for listener in listeners]
    for reader, writer in held:
        writer.write(get("/now"))
        assert (await read_answer(reader)).status == 200

    for listener in listeners:
        reader, writer = await connected(listener)
        assert await reader.read() == b""
        writer.close()
    assert caplog.text.count("connections are refused: 2 are open") == 2
    held[0][1].close()
    while limit.is_reached():
        await asyncio.sleep(0)

    reader, writer = await connected(listeners[1])
    writer.write(get("/now"))
    assert (await read_answer(reader)).status == 200
    writer.close()
    held[1][1].close()
    for listener in listeners:
        await listener.aclose(5.0)
    assert repr(limit) == "<ConnectionLimit, 0 of 2>"
