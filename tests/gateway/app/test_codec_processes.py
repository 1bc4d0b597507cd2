"""Codecs in processes of their own: their results, their ends, and callers who leave."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.app.codec_processes import MAX_WAITING, CodecProcesses
from gateway.core.errors import Fault, GatewayError
from gateway.wire.oip.json import decode_request

LISTED = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[%d],"data":[%b]}]}'


@asynccontextmanager
async def processes(**settings: float) -> AsyncIterator[CodecProcesses]:
    codecs = CodecProcesses(**settings)  # type: ignore[arg-type]
    try:
        yield codecs
    finally:
        await codecs.aclose()


async def fault_of(codecs: CodecProcesses, work, *arguments) -> Fault:
    with pytest.raises(GatewayError) as caught:
        await codecs(work, *arguments)
    return caught.value.fault


async def test_large_json_is_read_elsewhere() -> None:
    """The result is what it would be here; errors keep their faults; no process is started before."""
    body = LISTED % (150_528, b",".join([b"0.25"] * 150_528))
    async with processes() as codecs:
        assert repr(codecs) == "<CodecProcesses 0 running, 0 pieces of work>"
        there = await codecs(decode_request, memoryview(body), None)
        assert await codecs(os.getpid) != os.getpid()
        assert await fault_of(codecs, decode_request, b"{", None) is Fault.INVALID
        assert repr(codecs) == "<CodecProcesses 1 running, 0 pieces of work>"

    assert there == decode_request(body, None)
    assert repr(codecs) == "<CodecProcesses 0 running, 0 pieces of work>"


async def test_a_process_that_ends_costs_one_piece_of_work() -> None:
    """It may be killed for its memory; the next piece gets a new one."""
    async with processes() as codecs:
        first = await codecs(os.getpid)
        assert await fault_of(codecs, sys.exit, 1) is Fault.INTERNAL
        second = await codecs(os.getpid)
        os.kill(second, signal.SIGKILL)
        await asyncio.sleep(0.1)
        third = await codecs(os.getpid)

    assert len({first, second, third}) == 3


async def test_a_bug_is_no_answer() -> None:
    """It is logged, and the client learns nothing of it."""
    async with processes() as codecs:
        assert await fault_of(codecs, int, "x") is Fault.INTERNAL
        assert await codecs(int, "7") == 7


async def test_work_that_takes_too_long_is_ended() -> None:
    """With its process."""
    async with processes(limit_s=0.2) as codecs:
        assert await fault_of(codecs, time.sleep, 60) is Fault.INTERNAL
        assert "0 running" in repr(codecs)


async def test_a_caller_who_leaves_is_no_harm() -> None:
    """What has not begun is never done; what has begun is thrown away, and the next gets its own result."""
    async with processes() as codecs:
        await codecs(os.getpid)
        begun = asyncio.create_task(codecs(time.sleep, 0.3))
        waiting = [asyncio.create_task(codecs(sys.exit, 1)) for _ in range(5)]
        await asyncio.sleep(0.1)
        for task in (begun, *waiting):
            task.cancel()
        await asyncio.wait([begun, *waiting])

        assert await codecs(int, "7") == 7
        assert repr(codecs) == "<CodecProcesses 1 running, 0 pieces of work>"


class Body:
    """Something large."""


async def test_nothing_is_kept_of_who_has_left() -> None:
    """Nobody counts it any more, so it must be gone, however long the work before it takes."""
    async with processes() as codecs:
        begun = asyncio.create_task(codecs(time.sleep, 60))
        await asyncio.sleep(0.1)
        body = Body()
        kept = weakref.ref(body)
        waiting = asyncio.create_task(codecs(id, body))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        del body, waiting
        gc.collect()

        assert kept() is None
        begun.cancel()
        await asyncio.wait([begun])


async def test_too_much_work_is_refused() -> None:
    """Rather than kept waiting for minutes."""
    async with processes() as codecs:
        waiting = [asyncio.create_task(codecs(time.sleep, 60)) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        assert await fault_of(codecs, int, "7") is Fault.OVERLOADED
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


async def test_closing_ends_what_is_under_way() -> None:
    """At once, and with an error that says so."""
    codecs = CodecProcesses()
    await codecs(os.getpid)
    under_way = asyncio.create_task(codecs(time.sleep, 60))
    await asyncio.sleep(0.1)

    await codecs.aclose()

    with pytest.raises(GatewayError):
        await under_way
    assert "0 running" in repr(codecs)
