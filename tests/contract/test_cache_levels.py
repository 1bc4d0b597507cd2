"""What every cache level promises, asked of each of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis

from cache.levels.level import Level
from cache.levels.memory import MemoryLevel, MemorySettings
from cache.levels.redis import RedisLevel
from cache.levels.redis_settings import RedisSettings
from gateway.core.clock import LoopClock
from gateway.core.gate import OpenGate
from gateway.core.request import Provenance, Response
from gateway.core.tensor import Tensor
from tests.cache.build import SECRET, entry, looked_up
from tests.fakes.redis_server import RedisServer
from tests.fakes.service import answer
from tests.fakes.telemetry import RecordingTelemetry

KEY, OTHER = bytes(range(32)), bytes(32)


async def at_once() -> None:
    """Nothing to wait for."""


@dataclass
class Subject:
    """A level, and how to wait until what was put is there."""

    level: Level
    flush: Callable[[], Awaitable[None]] = at_once


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
async def subject(request: pytest.FixtureRequest, telemetry: RecordingTelemetry) -> AsyncIterator[Subject]:
    if request.param == "memory":
        memory = MemoryLevel(MemorySettings(), telemetry)
        yield Subject(memory)
        await memory.aclose()
        return
    server: RedisServer = request.getfixturevalue("shared_redis")
    async with Redis.from_url(server.url) as raw:
        await raw.flushall()
        settings = RedisSettings(url=server.url, timeout_ms=500)
        level = RedisLevel(settings, SECRET, gate=OpenGate(), clock=LoopClock(), telemetry=telemetry)
        yield Subject(level, level.flush)
        await level.aclose()
        await raw.flushall()


async def test_gives_back_what_was_put(subject: Subject) -> None:
    """An entry comes back whole, and its answer names the level."""
    held = entry(answer("edge", 3.0, region="eu", digest="sha", certified=True), now=time.time())

    await subject.level.put(KEY, held)
    await subject.flush()

    assert await subject.level.get(KEY) == held.at(subject.level.name)


async def test_keeps_tensors_bit_for_bit(subject: Subject) -> None:
    """NaN, minus zero, empty and BYTES tensors come back with the very same bytes."""
    outputs = (
        Tensor("nan", "FP32", (2,), b"\x01\x00\xc0\x7f\x00\x00\x00\x80"),
        Tensor("none", "FP64", (0, 3), b""),
        Tensor("text", "BYTES", (2,), b"\x01\0\0\0a\0\0\0\0"),
        Tensor("scalar", "BOOL", (), memoryview(b"\x01")),
        Tensor("said", "BOOL", (1,), b"\x01", {"content_type": "np", "n": 1, "x": 0.5, "is": True}),
    )
    response = Response("m", "2", outputs, Provenance("central"), {"a": 1, "b": "x", "c": True, "d": 0.5})

    await subject.level.put(KEY, entry(response, now=time.time()))
    await subject.flush()
    found = await subject.level.get(KEY)

    assert found is not None
    assert [bytes(t.data) for t in found.response.outputs] == [bytes(t.data) for t in outputs]
    assert [(t.name, t.datatype, t.shape, t.parameters) for t in found.response.outputs] == [
        (t.name, t.datatype, t.shape, t.parameters) for t in outputs
    ]
    assert found.response.parameters == response.parameters


async def test_the_last_put_counts(subject: Subject) -> None:
    """A second entry under a key takes the place of the first."""
    now = time.time()
    await subject.level.put(KEY, entry(answer(value=1.0), now=now))
    await subject.level.put(KEY, entry(answer(value=2.0), now=now))
    await subject.flush()

    found = await subject.level.get(KEY)

    assert found is not None
    assert found.response.outputs == answer(value=2.0).outputs


async def test_a_missing_key_is_reported_by_the_level(
    subject: Subject, telemetry: RecordingTelemetry
) -> None:
    """Nothing found is None, and one look-up event; a find is its reader's to report."""
    await subject.level.put(KEY, entry(now=time.time()))
    await subject.flush()

    assert await subject.level.get(OTHER) is None
    assert await subject.level.get(KEY) is not None
    assert looked_up(telemetry) == [f"{subject.level.name} miss"]


async def test_delete_forgets_one_key(subject: Subject) -> None:
    """A deleted key is gone, others stay, and deleting what is not there is nothing."""
    now = time.time()
    await subject.level.put(KEY, entry(now=now))
    await subject.level.put(OTHER, entry(now=now))
    await subject.level.delete(KEY)
    await subject.level.delete(b"\x07" * 32)
    await subject.flush()

    assert await subject.level.get(KEY) is None
    assert await subject.level.get(OTHER) is not None


async def test_a_key_can_come_back(subject: Subject) -> None:
    """After a delete a put works as before."""
    now = time.time()
    await subject.level.put(KEY, entry(now=now))
    await subject.level.delete(KEY)
    await subject.level.put(KEY, entry(now=now))
    await subject.flush()

    assert await subject.level.get(KEY) is not None


async def test_found_arrays_cannot_be_written(subject: Subject) -> None:
    """What many callers share none of them can change."""
    await subject.level.put(KEY, entry(now=time.time()))
    await subject.flush()
    found = await subject.level.get(KEY)

    assert found is not None
    with pytest.raises(ValueError, match="read-only"):
        found.response.outputs[0].numpy()[0, 0] = 1


async def test_closing_twice_is_harmless(subject: Subject) -> None:
    """aclose may be called again."""
    await subject.level.aclose()
    await subject.level.aclose()

    assert await subject.level.get(KEY) is None
