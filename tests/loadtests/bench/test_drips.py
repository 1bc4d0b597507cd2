"""Peers that drip, as the bench makes them."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys

from loadtests.bench import dripping

COUNT = 6


async def play() -> tuple[str, int, set[bytes], set[str], str]:
    """What the drips say, and what a server sees of them that cuts each of the first six."""
    beginnings: set[bytes] = set()
    addresses: set[str] = set()
    seen = 0

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        seen += 1
        addresses.add(writer.get_extra_info("peername")[0])
        if seen <= COUNT:
            beginning = b""
            while not beginning.endswith((b"X-Slow: x", b"\r\n\r\nx")):
                beginning += await reader.readexactly(1)
            beginnings.add(beginning)
        else:
            await reader.read()
        writer.close()

    listening = socket.create_server(("127.0.0.1", 0))
    async with await asyncio.start_server(cut, sock=listening):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "loadtests.bench.dripping", str(listening.getsockname()[1]), str(COUNT)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(20):
            ready = (await process.stdout.readline()).decode().strip()
            while seen < 2 * COUNT:
                await asyncio.sleep(0.01)
            assert process.stdin is not None
            process.stdin.close()
            last, _ = await process.communicate()
    return ready, seen, beginnings, addresses, last.decode()


def test_drips_begin_go_on_and_come_again_when_they_are_cut() -> None:
    """Each says its beginning and then a byte; how many were cut is told at the end."""
    ready, seen, beginnings, addresses, last = asyncio.run(play())

    assert ready == dripping.READY
    assert seen == 2 * COUNT
    assert beginnings == {beginning + b"x" for beginning in dripping.BEGINNINGS}
    assert addresses == set(dripping.ADDRESSES)
    assert int(last) == COUNT
