"""What is written at the end of a turn of the loop."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack

import pytest

from gateway.http.server.write_coalescing import MOST, WriteCoalescer
from tests.fakes.application import FakeApplication, connection, listening, until
from tests.fakes.http import get, read_answer
from tests.fakes.loops import both_loops


class Page:
    """An output that says when it was written."""

    def __init__(self, number: int, written: list[int], *, fails: bool = False) -> None:
        self._number, self._written, self._fails = number, written, fails

    def flush(self) -> None:
        if self._fails:
            raise RuntimeError("no")
        self._written.append(self._number)


async def test_outputs_of_one_turn_are_written_at_its_end():
    """In their order, and each turn's by itself."""
    coalescer, written = WriteCoalescer(asyncio.get_running_loop()), []

    for number in (1, 2, 3):
        coalescer.add(Page(number, written))
    assert (written, repr(coalescer)) == ([], "<WriteCoalescer, 3 waiting>")

    await asyncio.sleep(0)
    assert written == [1, 2, 3]
    coalescer.add(Page(4, written))
    await asyncio.sleep(0)
    assert written == [1, 2, 3, 4]


async def test_the_first_does_not_wait_for_too_many():
    """A long turn is written in parts."""
    coalescer, written = WriteCoalescer(asyncio.get_running_loop()), []

    for number in range(MOST + 1):
        coalescer.add(Page(number, written))

    assert written == list(range(MOST))
    await asyncio.sleep(0)
    assert len(written) == MOST + 1


async def test_one_that_fails_takes_no_other_along(caplog: pytest.LogCaptureFixture):
    """The others' answers are written; the log has the reason."""
    coalescer, written = WriteCoalescer(asyncio.get_running_loop()), []

    for number in (1, 2, 3):
        coalescer.add(Page(number, written, fails=number == 2))
    with caplog.at_level(logging.ERROR):
        await asyncio.sleep(0)

    assert written == [1, 3]
    assert "could not be written" in caplog.text


@both_loops
async def test_many_connections_at_once():
    """Each gets its own answers, in its order, the last one before the end of the connection as well."""
    ends = b"GET /now?last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    async with listening(FakeApplication()) as listener, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connection(listener.port)) for _ in range(3 * MOST)]
        for number, (_, writer) in enumerate(clients):
            writer.write(get(f"/now?{number}") + get("/now?more") + ends)

        for number, (reader, _) in enumerate(clients):
            bodies = [(await read_answer(reader)).body for _ in range(3)]
            assert bodies == [f"/now?{number}:".encode(), b"/now?more:", b"/now?last:"]
            assert await reader.read() == b""
        await until(lambda: not listener.context.registry)


@both_loops
async def test_connections_that_go_on():
    """Request by request, each answered before the next."""
    async with listening(FakeApplication()) as listener, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connection(listener.port)) for _ in range(5)]
        for _ in range(20):
            for _, writer in clients:
                writer.write(get("/now"))
            for reader, _ in clients:
                assert (await read_answer(reader)).body == b"/now:"
