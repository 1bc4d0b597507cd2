"""What of a gateway's look-ups comes into the request log."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from cache.freshness import Freshness
from cache.levels.memory import MemoryLevel, MemorySettings
from cache.request_log import writer as writer_module
from cache.request_log.lines import read_lines
from cache.request_log.recording import LoggedLevel, LoggedMisses, RequestLog
from cache.request_log.settings import RequestLogSettings
from cache.settings import CacheSettings
from gateway.__main__ import main
from gateway.core.cache_control import REFRESH
from gateway.core.cache_events import CacheLogLinesLost
from gateway.core.telemetry import Silence
from tests.cache.build import FixedChance, StepClock, entry
from tests.fakes.service import ScriptedService, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.scenarios.world import CONFIDENT, UNSURE, World

KEY = b"k" * 32
NOW = StepClock().steady()
FRESH = Freshness(CacheSettings(jitter=0.0), FixedChance(0.5))


def opened(folder: Path, telemetry: Any = None, **changes: Any) -> RequestLog:
    settings = RequestLogSettings(file=str(folder / "log"), **{"sample": 1.0, **changes})
    log = RequestLog(settings, None, clock=StepClock(), telemetry=telemetry or Silence())
    log.start()
    return log


def logged(folder: Path, log: RequestLog) -> list[Any]:
    log.close()
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


async def test_a_gateway_writes_what_can_be_simulated(tmp_path: Path, capsys) -> None:
    """A miss that the edge answers, one that central does, and a hit; nothing of the pictures, of no tenant."""
    file = tmp_path / "requests.jsonl"
    world = World(tmp_path)
    world.change_settings("cache:\n", f"cache:\n  request_log: {{file: '{file}', sample: 1}}\n")
    async with world:
        for image in (CONFIDENT, UNSURE, CONFIDENT):
            _ = await world.ask(image)
        assert "request log" in str(await world.edge.generation().report())
    text = file.read_text()
    first, second, third = map(json.loads, text.splitlines())
    assert [each["outcome"] for each in (first, second, third)] == ["miss", "miss", "hit"]
    assert first["key"] == third["key"] != second["key"]
    assert first["size"] == third["size"] > 0
    assert abs(first["time"] - time.time()) < 3600
    assert 3000 < first["ttl_s"] < 4000
    assert 3000 < third["ttl_s"] < 4000
    assert first["model"] == "digits"
    assert "anonymous" not in text
    assert len(text) < 800
    with file.open("rb") as lines:
        assert all(line.lookup for line in read_lines(lines))
    assert await asyncio.to_thread(main, ["cache", "simulate", "--log", str(file), "--sizes", "1MiB"]) == 0
    assert "33.3 %" in capsys.readouterr().out


async def test_a_stack_that_is_not_logged_has_no_part_of_it(tmp_path: Path) -> None:
    """It costs nothing."""
    async with World(tmp_path) as world:
        assert "request log" not in str(await world.edge.generation().report())


async def test_a_file_that_cannot_be_written_stops_the_start(tmp_path: Path, capsys) -> None:
    """Before any request, with its name and the reason."""
    world = World(tmp_path)
    world.change_settings("cache:\n", f"cache:\n  request_log: {{file: '{tmp_path}/no/log'}}\n")
    with pytest.raises(Exception, match=r"request_log\.file: .*/no/log cannot be written: No such file"):
        await world.__aenter__()
    await world.__aexit__()


async def test_misses_have_what_answered_them(tmp_path: Path) -> None:
    """One that failed and one that may not be kept have no size; a refresh and what has no key are no look-up."""
    log = opened(tmp_path)
    misses = LoggedMisses(log, FRESH)
    good = ScriptedService(answer())
    _ = await misses(request(key=KEY), good)
    _ = await misses(request(key=KEY, cache_control=REFRESH), good)
    _ = await misses(request(), good)
    _ = misses(request(key=KEY), lambda _: answer(stale=True))
    lines = logged(tmp_path, log)
    assert [line["size"] > 0 for line in lines] == [True, False]
    assert [line.get("ttl_s", 0) for line in lines] == [3600, 0]
    assert "0 lines wait" in repr(misses)


async def test_a_cancelled_miss_is_a_miss(tmp_path: Path) -> None:
    """Without an answer."""
    log = opened(tmp_path)

    async def hang(_request: object) -> Any:
        await asyncio.Event().wait()

    task = asyncio.ensure_future(LoggedMisses(log, FRESH)(request(key=KEY), hang))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (line,) = logged(tmp_path, log)
    assert (line["outcome"], line["size"]) == ("miss", 0)


async def test_the_level_notes_what_is_served(tmp_path: Path) -> None:
    """What has expired is not; a glance gives nothing of the sample, so that each look-up counts once."""
    level = MemoryLevel(MemorySettings(), Silence())
    log = opened(tmp_path)
    near = LoggedLevel(level, log, FRESH)
    assert near.peek(KEY) is None
    await near.put(KEY, entry(fresh_s=100, now=NOW))
    assert level.glance(KEY) is not None
    assert near.glance(KEY) is None
    assert near.peek(KEY) is level.stored(KEY)
    await near.put(KEY, entry(fresh_s=-1, now=NOW))
    assert near.peek(KEY) is not None
    assert [line["outcome"] for line in logged(tmp_path, log)] == ["hit"]
    assert "1 of the keys" in repr(near)


async def test_half_of_the_keys_are_the_same_half_always(tmp_path: Path) -> None:
    """What is not in the sample goes the short way."""
    level = MemoryLevel(MemorySettings(), Silence())
    log = opened(tmp_path, sample=0.5)
    near = LoggedLevel(level, log, FRESH)
    keys = [bytes([nth]) * 32 for nth in range(256)]
    for key in keys:
        await near.put(key, entry(fresh_s=100, now=NOW))
    assert [key for key in keys if near.glance(key) is None] == keys[:128]
    assert [near.peek(key) is not None for key in keys] == [True] * 256
    lines = logged(tmp_path, log)
    assert len(lines) == 128
    assert {line["sample"] for line in lines} == {0.5}


@pytest.mark.parametrize("tenants", ["hashed", "named"])
async def test_names_are_hashed_or_not_and_may_be_anything(tmp_path: Path, tenants: str) -> None:
    """Keys are hashed anyway; a name that JSON cannot have is escaped, one that is endless is cut."""
    log = opened(tmp_path, tenants=tenants)
    for tenant, model in (("acme", "digits"), ("a\udc80", "\ud800"), ("t" * 9999, "m" * 9999)):
        log.add(KEY, "hit", tenant=tenant, model=model)
    text = (logged(tmp_path, log), (tmp_path / "log").read_text())[1]
    first, second, third = map(json.loads, text.splitlines())
    assert ("acme" in text) == (tenants == "named")
    assert KEY.hex()[:16] not in text
    assert len(first["key"]) == 16
    assert (first["model"], second["model"], len(third["model"])) == ("digits", "\\ud800", 1024)


async def test_lost_lines_are_reported(tmp_path: Path, monkeypatch) -> None:
    """As they are lost, by whoever comes next."""
    monkeypatch.setattr(writer_module, "MOST_WAITING", 2)
    telemetry = RecordingTelemetry()
    settings = RequestLogSettings(file=str(tmp_path / "log"), sample=1.0)
    log = RequestLog(settings, None, clock=StepClock(), telemetry=telemetry)
    for _ in range(4):
        log.add(KEY, "hit", tenant="", model="m")
    assert telemetry.events == [CacheLogLinesLost(1), CacheLogLinesLost(1)]
