"""L2 and a Redis whose replies come by the byte, by halves, unasked, or with the end of the connection."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from cache.levels.redis import RedisLevel
from cache.levels.redis_settings import RedisSettings
from gateway.core.cache_events import CacheConnectionClosed
from gateway.core.clock import LoopClock
from gateway.core.gate import OpenGate
from tests.cache.build import SECRET, looked_up
from tests.fakes.calls import counted_calls
from tests.fakes.lying_redis import PONG, LyingRedis
from tests.fakes.telemetry import RecordingTelemetry

KEY = bytes(range(32))
VALUE = b"$1000\r\n" + b"x" * 1000 + b"\r\n"
MOST_CALLS = 10_000
"""Functions that one look-up may call, the server's side of it with them: it takes one or two thousand."""

NUM_RESETS = 1_000
HANG_S = 60


def level_of(server: LyingRedis, telemetry: RecordingTelemetry, timeout_ms: int) -> RedisLevel:
    settings = RedisSettings(url=server.url, timeout_ms=timeout_ms, connect_timeout_ms=10_000)
    return RedisLevel(settings, SECRET, gate=OpenGate(), clock=LoopClock(), telemetry=telemetry)


def open_files() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


async def at_rest() -> tuple[int, int]:
    """How many files are open and tasks unfinished, when what has ended is gone."""
    for _ in range(10):
        await asyncio.sleep(0)
    gc.collect()
    return open_files(), len(asyncio.all_tasks())


async def test_a_reply_by_the_byte_is_given_up_in_time(telemetry: RecordingTelemetry) -> None:
    """The limit is of the whole look-up, however often something of it comes; then the connection ends."""
    async with LyingRedis(VALUE, drip_s=0.01) as server:
        level = level_of(server, telemetry, timeout_ms=60)
        with counted_calls() as calls:
            for _ in range(5):
                async with asyncio.timeout(HANG_S):
                    assert await level.get(KEY) is None

        assert calls.number / 5 < MOST_CALLS
        assert set(looked_up(telemetry)) == {"l2 error"}
        assert CacheConnectionClosed("l2", "timeout") in telemetry.of(CacheConnectionClosed)
        await level.aclose()


async def test_a_reply_by_the_byte_that_comes_in_time_is_read(telemetry: RecordingTelemetry) -> None:
    """Slow is no lie: what has come by the end of the limit counts, and the connection is kept."""
    async with LyingRedis(b"$0\r\n\r\n", drip_s=0.001) as server:
        level = level_of(server, telemetry, timeout_ms=10_000)
        for _ in range(3):
            assert await level.get(KEY) is None

        assert looked_up(telemetry) == ["l2 miss"] * 3
        assert server.connections == 1
        await level.aclose()


@pytest.mark.parametrize("kept", [0, 1, 3, 7, 500, len(VALUE) - 1])
async def test_half_a_reply_and_an_end_is_an_error(kept: int, telemetry: RecordingTelemetry) -> None:
    """Wherever it is cut off; nothing of it is left for the next look-up."""
    async with LyingRedis(VALUE[:kept], hangs_up=True) as server:
        level = level_of(server, telemetry, timeout_ms=10_000)
        before = await at_rest()
        for number in range(1, 4):
            assert await level.get(KEY) is None
            assert server.connections == number

        assert looked_up(telemetry) == ["l2 error"] * 3
        await level.aclose()
        assert await at_rest() <= before


async def test_replies_before_their_requests_belong_to_nobody(telemetry: RecordingTelemetry) -> None:
    """They end the connection: read as the next look-up's reply, they would be another caller's answer."""
    async with LyingRedis(b"$0\r\n\r\n", greeting=PONG + VALUE) as server:
        level = level_of(server, telemetry, timeout_ms=10_000)

        assert await level.get(KEY) is None
        assert telemetry.of(CacheConnectionClosed) == [CacheConnectionClosed("l2", "protocol")]
        await level.aclose()


async def test_a_thousand_reset_connections_leave_nothing_behind(telemetry: RecordingTelemetry) -> None:
    """No file, no task, and the last of them is no more work than the first."""
    async with LyingRedis(b"", hangs_up=True) as server:
        level = level_of(server, telemetry, timeout_ms=10_000)
        before = await at_rest()
        most, spent = before, []
        for _ in range(NUM_RESETS // 100):
            with counted_calls() as calls:
                for _ in range(100):
                    assert await level.get(KEY) is None
            spent.append(calls.number / 100)
            most = max(most, await at_rest())
        await level.aclose()

        assert server.connections == NUM_RESETS
        assert max(spent) < min(2 * spent[0], MOST_CALLS)
        assert most[0] <= before[0] + 8
        assert most[1] <= before[1] + 8
        assert await at_rest() <= before
