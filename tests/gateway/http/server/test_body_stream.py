"""Bodies that are read while they come."""

from __future__ import annotations

import asyncio

import pytest

from gateway.http.server.body_stream import BodyStream


async def test_parts_come_in_order_and_end():
    """Parts that are there already, parts that come later, and the end."""
    body = BodyStream(lambda _: None)
    body.add(b"a")
    reading = asyncio.create_task(_read(body))
    await asyncio.sleep(0)
    body.add(b"b")
    await asyncio.sleep(0)
    assert repr(body) == "<BodyStream open, 0 bytes waiting>"
    body.end()

    assert await reading == [b"a", b"b"]


async def test_a_body_that_breaks_off():
    """What came is read; then it is an error, not an end."""
    body = BodyStream(lambda _: None)
    body.add(b"a")
    body.break_off()

    assert await anext(body) == b"a"
    with pytest.raises(ConnectionResetError):
        await anext(body)
    assert "broken" in repr(body)


async def test_the_peer_is_told_to_stop_and_to_go_on():
    """Once each: above the mark, and when half of it is read."""
    noted: list[bool] = []
    body = BodyStream(noted.append, high=4)
    for part in (b"aaaa", b"b", b"c"):
        body.add(part)
    assert noted == [False]

    await anext(body)
    assert noted == [False, True]
    body.end()
    assert b"".join(await _read(body)) == b"bc"
    assert noted == [False, True]


async def test_a_reader_that_is_cancelled():
    """It leaves nothing behind: the next reader gets what comes."""
    body = BodyStream(lambda _: None)
    reading = asyncio.create_task(_read(body))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    body.add(b"a")
    body.end()

    assert await _read(body) == [b"a"]


async def _read(body: BodyStream) -> list[object]:
    return [part async for part in body]
