"""Features kept by content: who finds what, and what becomes of a Redis that is down or lies."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from cache.features.computed import ComputedFeatures, FeatureScope
from cache.invalidation.epochs import Epochs
from cache.invalidation.scope import Scope
from cache.levels.level import Level
from cache.levels.memory import MemoryLevel, MemorySettings
from cache.levels.redis import RedisLevel
from cache.levels.redis_settings import RedisSettings
from gateway.core.cache_events import CacheLookedUp, FlightShared
from gateway.core.cache_levels import L3, L3_REDIS
from gateway.core.catalog import TensorSpec
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.feature_store import Backbone, Features, FoundFeatures
from gateway.core.gate import OpenGate
from gateway.core.request import Caller, Request
from gateway.core.tensor import Tensor
from tests.cache.build import SECRET, DictLevel, StepClock
from tests.fakes.telemetry import RecordingTelemetry

SPECS = (TensorSpec("pooled", "FP32", (-1, 2)), TensorSpec("count", "INT64", (-1, 1)))
BACKBONE = Backbone("sha256:b", "cpu/1", SPECS, is_batched=True)


@dataclass
class Computing:
    """A backbone: doubles its first value. ``places``: of each of its runs. ``gate``: what a run waits for."""

    parts: Sequence[Sequence[Tensor]]
    places: list[list[int]] = field(default_factory=list)
    gate: asyncio.Event | None = None
    error: Exception | None = None
    dtype: Any = np.float32

    async def __call__(self, places: Sequence[int]) -> list[Features]:
        self.places.append(list(places))
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [self._features(self.parts[place]) for place in places]

    def _features(self, part: Sequence[Tensor]) -> Features:
        rows = part[0].numpy()
        pooled = (2 * rows[:, :2]).astype(self.dtype)
        return (
            Tensor.from_numpy("pooled", pooled),
            Tensor.from_numpy("count", np.full((len(rows), 1), 7, np.int64)),
        )


def rows(*values: float) -> list[list[Tensor]]:
    """One part for each value: an input of one row."""
    return [[Tensor.from_numpy("x", np.full((1, 3), value, np.float32))] for value in values]


def request(**changes: Any) -> Request:
    caller = Caller(tenant=changes.pop("tenant", "acme"), residency=changes.pop("residency", "eu"))
    return Request(changes.pop("model", "shop"), (), caller=caller, key=b"k" * 32, **changes)


class Subject:
    """A store with its levels; ``ask`` returns what was found, and the places that were computed."""

    def __init__(self, *far: Level, clock: Any = None, memory: MemoryLevel | None = None, **scope: Any):
        self.telemetry = RecordingTelemetry()
        self.epochs = Epochs("here")
        self.memory = memory or MemoryLevel(MemorySettings(), self.telemetry, name=L3)
        self.store = ComputedFeatures(
            (self.memory, *far),
            secret=SECRET,
            scope=FeatureScope(**{"per_tenant": True, "instruction_set": "avx2", **scope}),
            ttl_s=60.0,
            clock=clock or LoopClock(),
            telemetry=self.telemetry,
            epochs=self.epochs,
        )

    async def ask(
        self, parts: list[list[Tensor]], backbone: Backbone = BACKBONE, **changes: Any
    ) -> tuple[FoundFeatures, list[list[int]]]:
        compute = Computing(parts)
        found = await self.store.find(request(**changes), backbone, parts, compute)
        return found, compute.places

    def outcomes(self, level: str) -> list[str]:
        return [event.outcome for event in self.telemetry.of(CacheLookedUp) if event.level == level]


def values(found: FoundFeatures) -> list[float]:
    return [float(part[0].numpy()[0, 0]) for part in found.parts]


async def test_what_was_computed_is_found_again():
    """By whatever model, version and head has the backbone; and it says where."""
    subject = Subject()

    first, ran = await subject.ask(rows(1.0))
    again, ran_again = await subject.ask(rows(1.0), version="2", outputs=("other",), id="another")

    assert (values(first), first.level, ran) == ([2.0], "", [[0]])
    assert (values(again), again.level, ran_again) == ([2.0], L3, [])
    assert again.parts[0][1].numpy().tolist() == [[7]]
    assert subject.outcomes(L3) == ["miss", "hit"]


async def test_rows_are_found_in_whatever_company_they_come():
    """Only those that nobody holds are computed, in one run, and each is put back where it belongs."""
    subject = Subject()
    await subject.ask(rows(1.0, 2.0))

    found, ran = await subject.ask(rows(3.0, 2.0, 4.0, 1.0))

    assert (values(found), ran, found.level) == ([6.0, 4.0, 8.0, 2.0], [[0, 2]], "")
    assert (await subject.ask(rows(4.0, 3.0)))[1] == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"tenant": "acme"}, {"tenant": "rival"}),
        ({"residency": "eu"}, {"residency": "us"}),
        ({"tenant": "acme", "residency": "eu"}, {"tenant": "acme", "residency": ""}),
    ],
)
async def test_nobody_finds_what_is_not_shared_with_them(one, other):
    subject = Subject()
    await subject.ask(rows(1.0), **one)

    assert (await subject.ask(rows(1.0), **other))[1] == [[0]]
    assert (await subject.ask(rows(1.0), **one))[1] == []


async def test_a_residency_class_shares_where_answers_are_shared():
    subject = Subject(per_tenant=False)
    await subject.ask(rows(1.0), tenant="acme")

    assert (await subject.ask(rows(1.0), tenant="rival"))[1] == []
    assert (await subject.ask(rows(1.0), tenant="rival", residency="us"))[1] == [[0]]


@pytest.mark.parametrize(
    "other",
    [
        Backbone("sha256:c", "cpu/1", SPECS, is_batched=True),
        Backbone("sha256:b", "cpu/2", SPECS, is_batched=True),
    ],
)
async def test_features_of_another_backbone_are_others(other):
    """Or of another runtime, whose bits may differ."""
    subject = Subject()
    await subject.ask(rows(1.0))

    assert (await subject.ask(rows(1.0), other))[1] == [[0]]


@pytest.mark.parametrize(
    "other",
    [
        Tensor.from_numpy("z", np.full((1, 3), 1.0, np.float32)),
        Tensor.from_numpy("x", np.full((1, 3), 1.0, np.float64)),
        Tensor("x", "FP32", (1, 1, 3), np.full(3, 1.0, np.float32).tobytes()),
        Tensor.from_numpy("x", np.array([[1.0, 1.0, -0.0]], np.float32)),
        Tensor.from_numpy("x", np.array([[1.0, 1.0, 0.0]], np.float32)),
    ],
)
async def test_any_difference_of_the_inputs_is_one(other):
    subject = Subject()
    await subject.ask(rows(1.0))
    compute = Computing(rows(1.0))

    await subject.store.find(request(), BACKBONE, [[other]], compute)

    assert compute.places == [[0]]


@pytest.mark.parametrize(
    ("scope", "per_tenant", "is_found"),
    [
        (Scope(), True, False),
        (Scope(model="shop"), True, False),
        (Scope(tenant="acme"), True, False),
        (Scope(model="shop", tenant="acme"), True, False),
        (Scope(region="here"), True, False),
        (Scope(tenant="acme"), False, False),
        (Scope(tenant="rival"), False, False),
        (Scope(model="other"), True, True),
        (Scope(tenant="rival"), True, True),
        (Scope(tag="checkout"), True, True),
        (Scope(region="there"), True, True),
    ],
)
async def test_a_purge_reaches_what_was_computed_before_it(scope: Scope, per_tenant: bool, is_found: bool):
    """In Redis as in memory, whatever began before; one of others, or of a tag, does not."""
    far = DictLevel(L3_REDIS)
    subject = Subject(far, per_tenant=per_tenant)
    await subject.ask(rows(1.0))
    late = Computing(rows(2.0), gate=asyncio.Event())
    filling = asyncio.create_task(subject.store.find(request(), BACKBONE, rows(2.0), late))
    while not late.places:
        await asyncio.sleep(0)

    subject.epochs.here(scope, 1)
    assert late.gate is not None
    late.gate.set()
    await filling

    assert (await subject.ask(rows(1.0, 2.0)))[1] == ([] if is_found else [[0, 1]])
    assert (await subject.ask(rows(1.0, 2.0)))[1] == []


async def test_a_purge_of_one_model_leaves_those_of_others_on_its_backbone():
    subject = Subject()
    await subject.ask(rows(1.0))

    subject.epochs.here(Scope(model="other"), 1)
    await subject.ask(rows(1.0))
    assert (await subject.ask(rows(1.0), model="other"))[1] == [[0]]

    assert (await subject.ask(rows(1.0)))[1] == []


async def test_nan_is_kept_as_it_is():
    subject = Subject()
    await subject.ask(rows(np.nan))

    found, ran = await subject.ask(rows(np.nan))

    assert (np.isnan(values(found)).tolist(), ran) == ([True], [])


async def test_equal_requests_at_the_same_time_run_the_backbone_once():
    """And one that leaves takes nothing from the others."""
    subject = Subject()
    parts = rows(1.0, 2.0)
    compute = Computing(parts, gate=asyncio.Event())
    asked = [asyncio.create_task(subject.store.find(request(), BACKBONE, parts, compute)) for _ in range(20)]
    while not compute.places:
        await asyncio.sleep(0)
    asked[0].cancel()
    assert compute.gate is not None
    compute.gate.set()
    ended = await asyncio.gather(*asked, return_exceptions=True)

    assert isinstance(ended[0], asyncio.CancelledError)
    assert {tuple(values(each)) for each in ended[1:]} == {(2.0, 4.0)}
    assert compute.places == [[0, 1]]
    assert len(subject.telemetry.of(FlightShared)) == 19


async def test_a_run_that_nobody_waits_for_is_cancelled():
    subject = Subject()
    compute = Computing(rows(1.0), gate=asyncio.Event())
    asked = asyncio.create_task(subject.store.find(request(), BACKBONE, rows(1.0), compute))
    while not compute.places:
        await asyncio.sleep(0)

    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await subject.store.aclose()

    assert "0 flights" in repr(subject.store)
    assert (await subject.ask(rows(1.0)))[1] == [[0]]


async def test_an_error_is_shared_and_not_kept():
    subject = Subject()
    failing = Computing(rows(1.0), error=GatewayError(Fault.INVALID, "no such row"))

    with pytest.raises(GatewayError, match="no such row"):
        await subject.store.find(request(), BACKBONE, rows(1.0), failing)
    assert (await subject.ask(rows(1.0)))[1] == [[0]]


async def test_what_does_not_fit_the_backbone_is_answered_and_not_kept():
    """It would be garbage to whoever reads it."""
    subject = Subject()
    compute = Computing(rows(1.0), dtype=np.float64)
    await subject.store.find(request(), BACKBONE, rows(1.0), compute)

    assert (await subject.ask(rows(1.0)))[1] == [[0]]


async def test_features_are_kept_for_their_time():
    clock = StepClock()
    subject = Subject(clock=clock)
    await subject.ask(rows(1.0))

    clock.step(59)
    assert (await subject.ask(rows(1.0)))[1] == []
    clock.step(1)
    assert (await subject.ask(rows(1.0)))[1] == [[0]]
    assert subject.outcomes(L3) == ["miss", "hit", "stale"]


async def test_another_gateway_finds_them_in_redis_and_then_by_itself():
    far = DictLevel(L3_REDIS)
    await Subject(far).ask(rows(1.0, 2.0))
    subject = Subject(far)

    found, ran = await subject.ask(rows(2.0, 1.0))
    again, _ = await subject.ask(rows(2.0))

    assert (values(found), ran, found.level) == ([4.0, 2.0], [], L3)
    assert (values(again), far.reads) == ([4.0], 4)
    assert subject.outcomes(L3_REDIS) == ["hit", "hit"]


async def test_what_redis_lacks_is_computed_and_the_rest_is_not():
    far = DictLevel(L3_REDIS)
    await Subject(far).ask(rows(2.0))

    found, ran = await Subject(far).ask(rows(1.0, 2.0, 3.0))

    assert (values(found), ran) == ([2.0, 4.0, 6.0], [[0, 2]])


@pytest.mark.parametrize("lie", ["name", "datatype", "shape", "rows", "fewer", "digest", "longer", "expired"])
async def test_what_redis_says_is_compared_with_what_the_backbone_makes(lie):
    """What does not fit is computed again, and written over."""

    clock = StepClock()
    far = DictLevel(L3_REDIS)
    await Subject(far, clock=clock).ask(rows(1.0))
    ((key, held),) = far.held.items()
    pooled, count = held.response.outputs
    outputs = {
        "name": (Tensor("pulled", "FP32", (1, 2), pooled.data), count),
        "datatype": (Tensor("pooled", "INT32", (1, 2), pooled.data), count),
        "shape": (Tensor("pooled", "FP32", (2, 1), pooled.data), count),
        "rows": (Tensor("pooled", "FP32", (2, 2), bytes(pooled.data) * 2), count),
        "fewer": (pooled,),
    }.get(lie, held.response.outputs)
    provenance = held.response.provenance
    if lie == "digest":
        provenance = replace(provenance, digest="sha256:other")
    expiry = held.hard_expiry + {"longer": 1000, "expired": -61}.get(lie, 0)
    response = replace(held.response, outputs=outputs, provenance=provenance)
    far.held[key] = replace(held, response=response, hard_expiry=expiry)
    subject = Subject(far, clock=clock)

    found, ran = await subject.ask(rows(1.0))

    assert (values(found), ran) == ([2.0], [[0]])
    assert subject.outcomes(L3_REDIS) == ["stale" if lie in {"longer", "expired"} else "garbage"]
    assert (await Subject(far, clock=clock).ask(rows(1.0)))[1] == []


async def test_long_inputs_have_their_keys_made_in_a_thread():
    subject = Subject()
    parts = [[Tensor.from_numpy("x", np.full((1, 300_000), 1.0, np.float32))]]

    await subject.ask(parts)

    assert (await subject.ask(parts))[1] == []


async def test_a_request_as_a_whole_is_one_part():
    """Of a model without a batch the first dimension means nothing."""
    whole = Backbone("sha256:b", "cpu/1", SPECS, is_batched=False)
    subject = Subject()
    parts = [[Tensor.from_numpy("x", np.ones((5, 3), np.float32))]]
    await subject.ask(parts, whole)

    found, ran = await subject.ask(parts, whole)

    assert (found.parts[0][0].shape, ran) == ((5, 2), [])


async def test_hashers_are_few_however_many_backbones_came_and_went():
    subject = Subject()
    for number in range(300):
        await subject.ask(rows(1.0), Backbone(f"sha256:{number}", "cpu/1", SPECS, is_batched=True))

    assert (await subject.ask(rows(1.0), Backbone("sha256:299", "cpu/1", SPECS, is_batched=True)))[1] == []


@pytest.mark.redis
async def test_a_real_redis_keeps_them_and_garbage_in_it_is_computed_anew(shared_redis):
    """In a namespace of their own; nobody who cannot make the tag is believed."""

    def level(telemetry: RecordingTelemetry) -> RedisLevel:
        settings = RedisSettings(url=shared_redis.url, timeout_ms=500)
        return RedisLevel(
            settings, SECRET, gate=OpenGate(), clock=LoopClock(), telemetry=telemetry, name=L3_REDIS
        )

    async with Redis.from_url(shared_redis.url) as raw:
        await raw.flushall()
        telemetry = RecordingTelemetry()
        levels = [level(telemetry) for _ in range(3)]
        await Subject(levels[0]).ask(rows(1.0))
        await levels[0].flush()
        assert (await Subject(levels[1]).ask(rows(1.0)))[1] == []
        for name in await raw.keys("*"):
            value = await raw.get(name)
            await raw.set(name, value[:-4] + b"\xff" * 4)
        found, ran = await Subject(levels[2]).ask(rows(1.0))
        assert (values(found), ran) == ([2.0], [[0]])
        assert CacheLookedUp(L3_REDIS, "garbage") in telemetry.events
        for each in levels:
            await each.aclose()
        await raw.flushall()


@pytest.mark.redis
async def test_without_redis_the_backbone_runs(redis):
    """It costs hits, never an answer."""
    settings = RedisSettings(url=redis.url, timeout_ms=50)
    level = RedisLevel(
        settings, SECRET, gate=OpenGate(), clock=LoopClock(), telemetry=RecordingTelemetry(), name=L3_REDIS
    )
    redis.kill()
    subject = Subject(level)

    found, ran = await subject.ask(rows(1.0))

    assert (values(found), ran) == ([2.0], [[0]])
    assert (await subject.ask(rows(1.0)))[1] == []
    await level.aclose()
