"""The address of one member, and its faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from loadtests.faults.faulty_member import Fault, FaultyMember
from tests.fakes.redis_server import free_port

REQUEST = b"POST /v2/models/m/infer HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def member_of_a_tier() -> AsyncIterator[FaultyMember]:
    """A member before a tier that answers whatever comes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            writer.write(ANSWER)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    member = FaultyMember("127.0.0.1", free_port(), server.sockets[0].getsockname()[1])
    await member.up()
    try:
        yield member
    finally:
        await member.down()
        server.close()
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.mark.parametrize("fault", list(Fault))
async def test_what_is_answered(fault: Fault) -> None:
    """A slow one answers as ever; nothing comes from a mute one, and its connection stays open."""
    async with member_of_a_tier() as member:
        member.fault, member.delay_s = fault, 0.01
        reader, writer = await asyncio.open_connection(member.host, member.port)
        writer.write(REQUEST)
        if fault is Fault.MUTE:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await reader.read(1)
        else:
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503" if fault is Fault.STORM else b"HTTP/1.1 200")
        assert len(member.came) == 1
        assert repr(member) == f"<FaultyMember {member.address}, up, {fault}, 1 came>"
        writer.close()
        await writer.wait_closed()


async def test_one_that_is_down_refuses_and_resets() -> None:
    """And takes connections again; to be down or up twice is as good as once."""
    async with member_of_a_tier() as member:
        reader, writer = await asyncio.open_connection(member.host, member.port)
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(2):
            await member.down()
        with pytest.raises(ConnectionResetError):
            assert not await reader.read(1)
            raise ConnectionResetError
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(member.host, member.port)
        writer.close()
        for _ in range(2):
            await member.up()
        _, again = await asyncio.open_connection(member.host, member.port)
        again.close()
        await again.wait_closed()
