"""The level of routes that do not use L1."""

from __future__ import annotations

from cache.levels.absent import AbsentLevel
from tests.cache.build import DictLevel, StepClock, cache_of, entry, looked_up
from tests.fakes.service import ScriptedService, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time

KEY = b"a" * 32


async def test_it_holds_nothing() -> None:
    level = AbsentLevel()
    await level.put(KEY, entry())

    assert (level.peek(KEY), level.glance(KEY), level.stored(KEY), await level.get(KEY)) == (None,) * 4
    assert (level.has_room, level.stats().entries, repr(level)) == (False, 0, "<AbsentLevel>")
    await level.delete(KEY)
    await level.forget("digits")
    await level.aclose()


@virtual_time
async def test_a_route_of_l2_alone_shares_and_keeps_nothing_here() -> None:
    """Each request looks into L2; its hits have no fast path, which could only be tried in vain."""
    telemetry, far = RecordingTelemetry(), DictLevel()
    cache = cache_of(telemetry, far=[far], near=AbsentLevel(), clock=StepClock())
    service = ScriptedService(answer("edge", 1.0))
    serve = cache.before(service)

    await serve(request())
    hits = [await serve(request()) for _ in range(2)]

    assert [hit.provenance.level for hit in hits] == ["l2", "l2"]
    assert (len(service.requests), far.reads) == (1, 3)
    assert looked_up(telemetry) == ["l2 hit", "l2 hit"]
    assert serve.fast_path(request()) is None
