"""The cache filter: L1, then L2, then the rest, and never an answer that it must not give."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

import numpy as np
import pytest
from msgspec.structs import replace

from cache.invalidation.epochs import Epochs
from cache.invalidation.scope import Scope
from cache.levels.memory import MemoryLevel, MemorySettings
from cache.levels.redis import RedisLevel
from cache.levels.redis_settings import RedisSettings
from cache.lookup import LONG_BYTES
from gateway.core.cache_events import FlightShared
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.gate import OpenGate
from gateway.core.request import Caller, Provenance, Request, Response
from gateway.core.stack import Stack
from gateway.core.telemetry import Silence
from gateway.core.tensor import Tensor
from tests.cache.build import SECRET, CacheFilters, DictLevel, StepClock, cache_of, hasher, looked_up
from tests.fakes.redis_server import RedisServer
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time

DOWN = GatewayError(Fault.UNAVAILABLE, "down", retryable=True)
TTL_S = 100.0
CERTAIN = 1 - 2**-53
"""The draw that reaches furthest."""


async def run_ready() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@virtual_time
async def test_a_miss_is_answered_by_the_rest() -> None:
    """The first request of its kind gets the rest's answer untouched."""
    telemetry = RecordingTelemetry()
    service = ScriptedService(answer("edge", 3.0))

    response = await cache_of(telemetry).before(service)(request(id="7"))

    assert response == answer("edge", 3.0)
    assert service.requests[0].id == "7"
    assert looked_up(telemetry) == ["l1 miss"]


@virtual_time
async def test_an_equal_request_is_a_hit() -> None:
    """The second request of its kind is answered from L1, and says so; hits share one response."""
    telemetry = RecordingTelemetry()
    service = ScriptedService(answer("edge", 3.0, region="eu"))
    serve = cache_of(telemetry).before(service)
    await serve(request(id="1"))

    hits = [await serve(request(id=str(number))) for number in (2, 3)]

    assert hits[0].provenance == Provenance("edge", level="l1", region="eu")
    assert hits[0].outputs == answer("edge", 3.0).outputs
    assert hits[0] is hits[1]
    assert len(service.requests) == 1
    assert looked_up(telemetry) == ["l1 miss", "l1 hit", "l1 hit"]


@virtual_time
async def test_another_tenant_is_a_miss() -> None:
    """Answers are not shared between tenants, nor between residency classes."""
    service = ScriptedService()
    serve = cache_of().before(service)

    for caller in (Caller(tenant="a"), Caller(tenant="b"), Caller(tenant="a", residency="eu")):
        await serve(request(caller=caller))

    assert len(service.requests) == 3


@virtual_time
async def test_errors_are_never_kept() -> None:
    """A failure is passed on as it is, and the next request asks again."""
    service = ScriptedService(DOWN, GatewayError(Fault.INVALID, "bad"), answer())
    serve = cache_of(far=[DictLevel()]).before(service)

    for fault in (Fault.UNAVAILABLE, Fault.INVALID):
        with pytest.raises(GatewayError) as raised:
            await serve(request())
        assert raised.value.fault is fault

    assert (await serve(request())).provenance.level == ""


@virtual_time
async def test_a_found_answer_of_l2_is_promoted() -> None:
    """A hit in L2 is served as l2, and the next one is a hit in L1 with the same expiry."""
    telemetry, remote, clock = RecordingTelemetry(), DictLevel(), StepClock()
    await cache_of(far=[remote], clock=clock).before(ScriptedService(answer("edge")))(request())
    service = ScriptedService()
    serve = cache_of(telemetry, far=[remote], clock=clock).before(service)

    first, second = await serve(request()), await serve(request())

    assert (first.provenance.level, second.provenance.level) == ("l2", "l1")
    assert (first.provenance.origin, second.provenance.origin) == ("edge", "edge")
    assert service.requests == []
    assert looked_up(telemetry) == ["l1 miss", "l2 hit", "l1 hit"]
    clock.step(3600)
    await serve(request())
    assert len(service.requests) == 1


@virtual_time
async def test_a_clock_that_is_set_back_makes_no_answer_fresh_again() -> None:
    """On the long way as on the fast path: what has expired stays so, whatever time of day it is."""
    clock, service = StepClock(), ScriptedService()
    cache = cache_of(clock=clock, ttl_s=5.0, stale_if_error_s=0.0)
    serve, asked = cache.before(service), request()
    await serve(asked)
    path = cache.lookup.fast_path(asked, lambda _request: None)
    assert path is not None
    data = [tensor.data for tensor in asked.inputs]
    assert path(data) is not None

    clock.set_back(3600)
    assert path(data) is not None
    clock.step(9)

    assert path(data) is None
    await serve(asked)
    assert len(service.requests) == 2


@virtual_time
async def test_both_levels_hold_one_expiry() -> None:
    """Jitter is drawn once per answer: the levels never disagree about its age."""
    remote, memory = DictLevel(), MemoryLevel(MemorySettings(), Silence())
    serve = cache_of(far=[remote], memory=memory, draw=None).before(ScriptedService())

    await serve(request())

    local = memory.peek(hasher()(request()))
    (shared,) = remote.held.values()
    assert local is not None
    assert (local.soft_expiry, local.hard_expiry) == (shared.soft_expiry, shared.hard_expiry)


@virtual_time
async def test_equal_misses_look_once_and_compute_once() -> None:
    """A hundred equal misses are one look-up in L2 and one call; the joined are told as computed."""
    telemetry, remote = RecordingTelemetry(), DictLevel()
    service = ScriptedService(0.5)
    serve = cache_of(telemetry, far=[remote]).before(service)

    responses = await asyncio.gather(*(serve(request(id=str(number))) for number in range(100)))

    assert len(service.requests) == 1
    assert remote.reads == 1
    assert {response.provenance.level for response in responses} == {""}
    assert len(telemetry.of(FlightShared)) == 99


@virtual_time
async def test_a_caller_who_leaves_leaves_the_cache_clean() -> None:
    """A cancelled miss stops the rest when nobody else waits, keeps nothing and leaves nothing."""
    cache = cache_of()
    service = ScriptedService(HANG, answer())
    waiting = asyncio.create_task(cache.before(service)(request()))
    await run_ready()

    waiting.cancel()
    await run_ready()

    assert service.running == 0
    assert repr(cache.flight) == "<SingleFlight 0 flights, 0 waiters>"
    assert (await cache.before(service)(request())).provenance.level == ""


@virtual_time
async def test_the_others_get_the_answer_when_the_first_leaves() -> None:
    """The shared answer is computed once and kept although its first asker has left."""
    cache, service = cache_of(), ScriptedService(HANG)
    serve = cache.before(service)
    first, second = (asyncio.create_task(serve(request())) for _ in range(2))
    await run_ready()

    first.cancel()
    await run_ready()
    service.release()

    assert await second == answer()
    assert (await serve(request())).provenance.level == "l1"
    assert len(service.requests) == 1


@virtual_time
async def test_past_its_soft_expiry_an_answer_is_computed_anew() -> None:
    """A stale answer is not served while a fresh one can be had."""
    telemetry, clock = RecordingTelemetry(), StepClock()
    service = ScriptedService(answer(value=1.0), answer(value=2.0))
    serve = cache_of(telemetry, clock=clock, ttl_s=TTL_S).before(service)
    await serve(request())

    clock.step(TTL_S)
    renewed, hit = await serve(request()), await serve(request())

    assert renewed == answer(value=2.0)
    assert hit.outputs == answer(value=2.0).outputs
    assert looked_up(telemetry) == ["l1 miss", "l1 stale", "l1 hit"]


@pytest.mark.parametrize("with_remote", [False, True], ids=["l1 only", "with l2"])
def test_stale_stands_in_for_an_outage(with_remote: bool) -> None:
    """While the rest is down, an answer past its soft expiry is served, marked stale, until the hard one."""

    @virtual_time
    async def scenario() -> None:
        clock = StepClock()
        service = ScriptedService(answer("edge"), DOWN)
        far = [DictLevel()] if with_remote else []
        serve = cache_of(clock=clock, far=far, ttl_s=TTL_S, stale_if_error_s=30).before(service)
        await serve(request())

        clock.step(TTL_S + 1)
        for _ in range(2):
            stale = await serve(request())
            assert stale.provenance == Provenance("edge", level="l1", stale=True)
            assert stale.provenance.label == "stale"

        clock.step(30)
        with pytest.raises(GatewayError):
            await serve(request())

    scenario()


@virtual_time
async def test_stale_of_l2_stands_in_too() -> None:
    """A gateway that holds nothing serves the region's stale answer while the rest is down."""
    telemetry, clock, remote = RecordingTelemetry(), StepClock(), DictLevel()
    first = cache_of(clock=clock, far=[remote], ttl_s=TTL_S)
    await first.before(ScriptedService(answer("edge")))(request())
    clock.step(TTL_S + 1)
    second = cache_of(telemetry, clock=clock, far=[remote], ttl_s=TTL_S)

    stale = await second.before(ScriptedService(DOWN))(request())

    assert stale.provenance == Provenance("edge", level="l2", stale=True)
    assert looked_up(telemetry) == ["l1 miss", "l2 stale"]


@virtual_time
async def test_the_newer_of_two_stale_answers_stands_in() -> None:
    """When both levels are stale, the one written later is served."""
    clock, remote = StepClock(), DictLevel()
    one = cache_of(clock=clock, far=[remote], ttl_s=TTL_S)
    two = cache_of(clock=clock, far=[remote], ttl_s=TTL_S)
    await one.before(ScriptedService(answer(value=1.0)))(request())
    remote.held.clear()
    clock.step(5)
    await two.before(ScriptedService(answer(value=2.0)))(request())
    clock.step(TTL_S + 1)

    stale = await one.before(ScriptedService(DOWN))(request())

    assert stale.outputs == answer(value=2.0).outputs


@virtual_time
async def test_a_refusal_is_not_covered_by_stale() -> None:
    """FORBIDDEN is an answer: stale does not stand in for it."""
    clock = StepClock()
    service = ScriptedService(answer(), GatewayError(Fault.FORBIDDEN, "no"))
    serve = cache_of(clock=clock, ttl_s=TTL_S).before(service)
    await serve(request())

    clock.step(TTL_S + 1)

    with pytest.raises(GatewayError, match="no"):
        await serve(request())


@virtual_time
async def test_far_past_its_hard_expiry_an_answer_is_a_miss() -> None:
    """An answer past its hard expiry is reported as a miss and never served."""
    telemetry, clock = RecordingTelemetry(), StepClock()
    serve = cache_of(telemetry, clock=clock, ttl_s=TTL_S).before(ScriptedService(answer(), DOWN))
    await serve(request())

    clock.step(TTL_S * 10)

    with pytest.raises(GatewayError):
        await serve(request())
    assert looked_up(telemetry) == ["l1 miss", "l1 miss"]


@virtual_time
async def test_a_stale_answer_of_the_rest_is_not_kept() -> None:
    """What the next gateway served stale is passed on, and asked for again."""
    service = ScriptedService(answer(stale=True))
    serve = cache_of().before(service)

    await serve(request())
    await serve(request())

    assert len(service.requests) == 2


@virtual_time
async def test_uncertified_answers_stay_five_seconds_in_l1_only() -> None:
    """An uncertified answer is kept for uncertified_ttl_s, never shared, never stale."""
    clock, remote = StepClock(), DictLevel()
    service = ScriptedService(answer("edge", certified=False), DOWN)
    serve = cache_of(clock=clock, far=[remote], draw=CERTAIN).before(service)
    await serve(request())

    clock.step(4.9)
    kept = await serve(request())
    clock.step(0.1)

    assert kept.provenance == Provenance("edge", certified=False, level="l1")
    with pytest.raises(GatewayError):
        await serve(request())
    assert remote.held == {}


@virtual_time
async def test_an_unexpected_artefact_is_passed_on_and_not_kept() -> None:
    """An answer of another model than the key speaks for is served once."""
    service = ScriptedService(answer(digest="new"), answer(digest="old"))
    serve = cache_of(digests=frozenset({"old"})).before(service)

    answers = [await serve(request()) for _ in range(3)]

    assert [a.provenance.digest for a in answers] == ["new", "old", "old"]
    assert [a.provenance.level for a in answers] == ["", "", "l1"]


@virtual_time
async def test_an_answer_with_nan_is_kept() -> None:
    """NaN is what the model says to this input, now and later."""
    service = ScriptedService(answer(value=np.nan))
    serve = cache_of().before(service)

    await serve(request())
    hit = await serve(request())

    assert hit.provenance.level == "l1"
    assert np.isnan(hit.outputs[0].numpy()).all()


@virtual_time
async def test_a_kept_answer_does_not_change_with_its_source() -> None:
    """The cache owns its bytes: the buffer that the answer came in may be used again."""
    buffer = bytearray(b"abcd")
    outputs = (Tensor("p", "UINT8", (4,), memoryview(buffer)),)
    serve = cache_of().before(ScriptedService(Response("digits", "1", outputs, Provenance("edge"))))
    await serve(request())

    buffer[:] = b"XXXX"

    assert (await serve(request())).outputs[0].data == b"abcd"


@virtual_time
async def test_requests_of_a_sequence_pass_by() -> None:
    """A stateful model's answers depend on those before: they are neither looked up nor kept."""
    telemetry = RecordingTelemetry()
    service = ScriptedService()
    serve = cache_of(telemetry).before(service)

    for _ in range(2):
        await serve(request(parameters={"sequence_id": 5}))

    assert len(service.requests) == 2
    assert telemetry.events == []


@virtual_time
async def test_what_may_not_be_kept_passes_by_each_time() -> None:
    """Without a key: equal requests at the same time are not one, and no further level is read or written."""
    far = DictLevel()
    service = ScriptedService(*(answer("edge", number) for number in range(3)))
    serve = cache_of(far=(far,), forbidden={"digits"}).before(service)

    first, second = await asyncio.gather(serve(request()), serve(request()))
    again = await serve(request())

    assert [first, second, again] == [answer("edge", number) for number in range(3)]
    assert {asked.key for asked in service.requests} == {b""}
    assert (far.reads, far.held) == (0, {})


async def test_large_request_that_may_not_be_kept_passes_by_as_well() -> None:
    service = ScriptedService(answer("edge", 0.0), answer("edge", 1.0))
    serve = cache_of(forbidden={"digits"}).before(service)
    large = request(inputs=(Tensor("image", "UINT8", (LONG_BYTES + 1,), bytes(LONG_BYTES + 1)),))

    assert [await serve(large), await serve(large)] == [answer("edge", 0.0), answer("edge", 1.0)]
    assert {asked.key for asked in service.requests} == {b""}


@virtual_time
async def test_other_parameters_do_not_keep_a_request_from_the_cache() -> None:
    """Only a step of a sequence passes by; parameters that say what to compute are part of the key."""
    service = ScriptedService()
    serve = cache_of().before(service)

    for value in (1, 2, 1, 2):
        await serve(request(parameters={"top": value}))

    assert [sent.parameters["top"] for sent in service.requests] == [1, 2]
    assert all(sent.key for sent in service.requests)


def path_of(serve: Stack, like: Request) -> Callable[[float], Response | None]:
    """The fast path of requests like ``like``, by the value that fills their input."""
    path = serve.fast_path(like)
    assert path is not None
    return lambda value: path([request(value).inputs[0].data])


@virtual_time
async def test_the_fast_path_gives_what_is_fresh() -> None:
    """A hit is reported as one, and anything else is no look-up: the call will report it."""
    telemetry = RecordingTelemetry()
    serve = cache_of(telemetry, ttl_s=TTL_S).before(ScriptedService(answer("edge")))
    await serve(request())
    telemetry.events.clear()
    path = path_of(serve, request())

    hit, missed = path(1.0), path(2.0)

    assert hit is not None
    assert hit.provenance == Provenance("edge", level="l1")
    assert missed is None
    assert looked_up(telemetry) == ["l1 hit"]


@virtual_time
async def test_the_fast_path_ends_where_an_early_refresh_may_be_due() -> None:
    """Inside of the window the call draws for each hit; the fast path would let none of them refresh."""
    telemetry, clock = RecordingTelemetry(), StepClock()
    service = ScriptedService(2.0)
    serve = cache_of(telemetry, clock=clock, ttl_s=TTL_S, jitter=0).before(service)
    await serve(request())
    telemetry.events.clear()
    path = path_of(serve, request())
    window_s = 2.0 * 53 * math.log(2)

    clock.step(TTL_S - window_s - 0.01)
    before = path(1.0)
    clock.step(0.02)
    inside = path(1.0)

    assert before is not None
    assert inside is None
    assert looked_up(telemetry) == ["l1 hit"]
    assert (await serve(request())).provenance.level == "l1"


def test_steps_of_a_sequence_have_no_fast_path() -> None:
    """Their answers depend on those before."""
    serve = cache_of().before(ScriptedService())

    assert serve.fast_path(request(parameters={"sequence_id": 5})) is None
    assert serve.fast_path(request(parameters={"top": 5})) is not None


@virtual_time
async def test_near_its_expiry_a_hit_refreshes_in_the_background() -> None:
    """An early hit is served at once, one refresh starts, and later hits get its answer."""
    telemetry, clock = RecordingTelemetry(), StepClock()
    service = ScriptedService(answer(value=1.0), HANG)
    cache = cache_of(telemetry, clock=clock, draw=CERTAIN, ttl_s=TTL_S)
    serve = cache.before(service)
    await serve(request())

    clock.step(TTL_S * 1.1 - 0.02)
    early = [await serve(request()) for _ in range(3)]
    await run_ready()

    assert {response.provenance.level for response in early} == {"l1"}
    assert len(service.requests) == 2
    assert repr(cache.refreshes) == "<EarlyRefreshes 1 of 64 running>"
    service.release()
    await run_ready()
    clock.step(1)
    assert (await serve(request())).outputs == answer(value=0.0).outputs
    assert looked_up(telemetry) == ["l1 miss", "l1 early", "l1 early", "l1 early", "l1 hit"]


@virtual_time
async def test_near_its_expiry_most_hits_are_plain() -> None:
    """Within reach of its expiry, a hit whose draw falls short starts nothing."""
    telemetry, clock = RecordingTelemetry(), StepClock()
    service = ScriptedService()
    serve = cache_of(telemetry, clock=clock, draw=0.0, ttl_s=TTL_S).before(service)
    await serve(request())

    clock.step(TTL_S * 0.9 - 0.001)
    await serve(request())

    assert len(service.requests) == 1
    assert looked_up(telemetry) == ["l1 miss", "l1 hit"]


@virtual_time
async def test_a_refresh_takes_what_another_gateway_already_made() -> None:
    """Only an answer in L2 that is newer than ours ends a refresh without computing."""
    clock, remote = StepClock(), DictLevel()
    service = ScriptedService(answer(value=1.0), answer(value=9.0))
    cache = cache_of(clock=clock, far=[remote], draw=CERTAIN, ttl_s=TTL_S)
    serve = cache.before(service)
    await serve(request())
    (key,) = remote.held
    newer = remote.held[key]
    remote.held[key] = replace(newer, soft_expiry=newer.soft_expiry + 50, hard_expiry=newer.hard_expiry + 50)

    clock.step(TTL_S * 1.1 - 0.02)
    await serve(request())
    await run_ready()
    assert len(service.requests) == 1

    clock.step(50)
    await serve(request())
    await run_ready()
    assert len(service.requests) == 2


@virtual_time
async def test_a_failed_refresh_harms_nobody() -> None:
    """While a refresh fails, hits go on until the soft expiry."""
    clock = StepClock()
    service = ScriptedService(answer("edge"), DOWN)
    cache = cache_of(clock=clock, draw=CERTAIN, ttl_s=TTL_S)
    serve = cache.before(service)
    await serve(request())

    clock.step(TTL_S * 1.1 - 0.02)
    hits = []
    for _ in range(3):
        hits.append(await serve(request()))
        await run_ready()

    assert {hit.provenance for hit in hits} == {Provenance("edge", level="l1")}
    assert repr(cache.flight) == "<SingleFlight 0 flights, 0 waiters>"


@virtual_time
async def test_aclose_cancels_what_is_under_way() -> None:
    """Closing ends refreshes and flights, and leaves the levels to their owner."""
    clock = StepClock()
    service = ScriptedService(answer(), HANG)
    cache = cache_of(clock=clock, draw=CERTAIN, ttl_s=TTL_S)
    serve = cache.before(service)
    await serve(request())
    clock.step(TTL_S * 1.1 - 0.02)
    await serve(request())
    await run_ready()

    await cache.aclose()

    assert service.running == 0
    assert (await serve(request())).provenance.level == "l1"
    await cache.aclose()


@virtual_time
async def test_many_gateways_refresh_a_hot_key_without_a_stampede() -> None:
    """Ten gateways that share an L2 keep a hot key fresh: nobody ever waits, few compute."""
    clock, remote = StepClock(), DictLevel()
    service = ScriptedService(0.05)
    telemetry = RecordingTelemetry()
    caches = [cache_of(telemetry, clock=clock, far=[remote], draw=None, ttl_s=10.0) for _ in range(10)]
    await caches[0].before(service)(request())

    waited = 0
    for _ in range(2000):
        clock.step(0.01)
        for cache in caches:
            waited += (await cache.before(service)(request())).provenance.level == ""
        await asyncio.sleep(0.01)
    await asyncio.sleep(1)

    assert waited == 0
    assert len(service.requests) <= 1 + 3 * 10
    for cache in caches:
        await cache.aclose()


class TestWithRedis:
    """Through a real redis-server."""

    pytestmark = pytest.mark.redis

    @staticmethod
    def gateway(server: RedisServer, telemetry: RecordingTelemetry) -> tuple[CacheFilters, RedisLevel]:
        settings = RedisSettings(url=server.url, timeout_ms=50)
        remote = RedisLevel(settings, SECRET, gate=OpenGate(), clock=LoopClock(), telemetry=telemetry)
        return cache_of(telemetry, clock=StepClock(time.time()), far=[remote]), remote

    async def test_two_gateways_share_answers(
        self, redis: RedisServer, telemetry: RecordingTelemetry
    ) -> None:
        """What one gateway computed the other serves from L2."""
        (one, first), (two, second) = self.gateway(redis, telemetry), self.gateway(redis, telemetry)
        service = ScriptedService(answer("edge", 5.0))

        computed = await one.before(service)(request())
        await first.flush()
        shared = await two.before(service)(request())

        assert computed.provenance == Provenance("edge")
        assert shared.provenance == Provenance("edge", level="l2")
        assert shared.outputs == computed.outputs
        assert len(service.requests) == 1
        for level in (first, second):
            await level.aclose()

    @pytest.mark.parametrize("fault", ["kill", "pause"])
    async def test_losing_redis_loses_no_answer(
        self, redis: RedisServer, telemetry: RecordingTelemetry, fault: str
    ) -> None:
        """With Redis gone or stopped every request is answered, once the look-up has run out of its time."""
        cache, remote = self.gateway(redis, telemetry)
        serve = cache.before(ScriptedService(answer("edge")))
        await serve(request(1.0))
        getattr(redis, fault)()

        async def ask(number: int) -> Response:
            return await serve(request(float(number)))

        # Without the limit of a look-up, requests would wait for a stopped Redis for ever.
        async with asyncio.timeout(10):
            answers = await asyncio.gather(*(ask(number) for number in range(20)))

        assert [a.provenance.level for a in answers].count("l1") == 1
        await cache.aclose()
        await remote.aclose()
        if fault == "pause":
            redis.resume()


@pytest.mark.parametrize(("age_s", "is_stale"), [(TTL_S - 0.01, False), (TTL_S + 1, True)])
def test_a_bound_on_risk_is_not_given_away(age_s: float, is_stale: bool) -> None:
    """While central is down, a certified answer that is still of use outranks the edge's uncertified one.

    And it is not tried anew at every hit: for a few seconds nothing better can be had.
    """

    @virtual_time
    async def scenario() -> None:
        clock = StepClock()
        service = ScriptedService(answer("central", 1.0), answer("edge", 2.0, certified=False))
        cache = cache_of(clock=clock, ttl_s=TTL_S, draw=CERTAIN, stale_if_error_s=60, jitter=0)
        serve = cache.before(service)
        first = await serve(request())
        clock.step(age_s)

        for _ in range(5):
            response = await serve(request())
            await run_ready()

        assert response.outputs == first.outputs
        assert (response.provenance.certified, response.provenance.stale) == (True, is_stale)
        assert len(service.requests) == 2

    scenario()


@virtual_time
async def test_what_is_held_for_a_moment_is_not_held_for_ever() -> None:
    """Every few seconds the rest is asked again, and past its hard expiry the old answer is of no use."""
    clock = StepClock()
    service = ScriptedService(answer("central", 1.0), answer("edge", 2.0, certified=False))
    serve = cache_of(clock=clock, ttl_s=TTL_S, stale_if_error_s=60, jitter=0).before(service)
    await serve(request())
    clock.step(TTL_S + 1)

    labels = []
    for _ in range(80):
        labels.append((await serve(request())).provenance.stale)
        clock.step(1)

    assert labels[:59] == [True] * 59
    assert labels[60:] == [False] * 20
    assert 12 <= len(service.requests) <= 20


async def test_the_fast_path_honours_a_purge() -> None:
    """From the next request on, also where its key was begun long before; what is kept then is given again."""
    epochs = Epochs("eu")
    cache = cache_of(epochs=epochs)
    serve, like = cache.before(ScriptedService(answer("central"))), request()
    path, data = serve.fast_path(like), [tensor.data for tensor in like.inputs]
    assert path is not None
    await serve(like)
    assert path(data) is not None

    epochs.here(Scope(model=like.model), 1)

    assert path(data) is None
    await serve(like)
    assert path(data) is not None
    await cache.aclose()
