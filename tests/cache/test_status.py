"""What answers say of the cache: hit, stale, miss or bypass, the level, and the age."""

from __future__ import annotations

from cache.status import CacheStatusMark
from gateway.core.cache_control import NO_STORE, CacheDirectives
from gateway.core.request import CacheStatus
from tests.cache.build import DictLevel, StepClock, cache_of
from tests.fakes.service import ScriptedService, answer, request
from tests.fakes.stack import stack
from tests.fakes.virtual_time import virtual_time


@virtual_time
async def test_each_outcome_is_told() -> None:
    clock = StepClock()
    cache = cache_of(
        clock=clock,
        far=[DictLevel()],
        ttl_s=100.0,
        jitter=0.0,
        stale_while_revalidate_s=50.0,
        forbidden=("secret",),
    )
    mark = CacheStatusMark(clock, lambda model: model == "secret")
    serve = stack(mark, *cache.filters(), service=ScriptedService(answer("edge", level="l2")))

    # A cache elsewhere that held the answer is not this one.
    assert (await serve(request())).cache_status == CacheStatus("miss")
    clock.step(7.9)
    assert (await serve(request())).cache_status == CacheStatus("hit", "l1", 7)
    for bypass in (
        {"cache_control": NO_STORE},
        {"parameters": {"sequence_id": 1}},
        {"model": "secret"},
        {"cache_control": CacheDirectives(no_cache=True)},
    ):
        assert (await serve(request(**bypass))).cache_status == CacheStatus("bypass")
    clock.step(102)
    assert (await serve(request())).cache_status == CacheStatus("stale", "l1", 102)
    await cache.aclose()


@virtual_time
async def test_the_fast_path_tells_it_too() -> None:
    clock = StepClock()
    mark = CacheStatusMark(clock, lambda _model: False)
    serve = stack(mark, *cache_of(clock=clock).filters(), service=ScriptedService(answer("edge")))
    path = serve.fast_path(request())
    assert path is not None
    data = [each.data for each in request().inputs]
    assert path(data) is None

    await serve(request())
    clock.step(3)
    found = path(data)

    assert found is not None
    assert found.cache_status == CacheStatus("hit", "l1", 3)
    assert mark.fast_path(request(), lambda _like: None) is None
    assert repr(mark) == "<CacheStatusMark>"
