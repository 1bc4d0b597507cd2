"""An endpoint's verdict on inputs is kept for a moment, and nothing else that goes wrong is."""

from __future__ import annotations

import pytest

from cache.negative import MAX_MESSAGE_CHARS, NegativeAnswer, NegativeAnswers, NegativeCache
from gateway.core.cache_control import REFRESH, CacheDirectives
from gateway.core.errors import Fault, GatewayError, Why
from tests.cache.build import StepClock, looked_up
from tests.fakes.service import ScriptedService, answer, request
from tests.fakes.stack import stack
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time

KEY = b"k" * 32
OF_INPUT = Why("400", answered=True, of_input=True)
REFUSED = GatewayError(Fault.INVALID, "input 'x' is no image", why=OF_INPUT)


class World:
    def __init__(self, *steps: object, max_bytes: int = 1 << 20) -> None:
        self.clock, self.telemetry, self.verdicts = (
            StepClock(),
            RecordingTelemetry(),
            NegativeAnswers(max_bytes),
        )
        self.service = ScriptedService(*steps)  # type: ignore[arg-type]
        self.negative = NegativeCache(self.verdicts, 5.0, self.clock, self.telemetry)
        self.serve = stack(self.negative, service=self.service)

    async def outcome(self, key: bytes = KEY, **changes: object) -> object:
        try:
            return await self.serve(request(key=key, **changes))
        except GatewayError as error:
            return error.fault, error.message

    @property
    def computed(self) -> int:
        return len(self.service.requests)


@virtual_time
async def test_a_verdict_is_given_again_until_it_expires() -> None:
    world = World(REFUSED)

    outcomes = [await world.outcome() for _ in range(3)]
    assert (set(outcomes), world.computed) == ({(Fault.INVALID, "input 'x' is no image")}, 1)
    assert looked_up(world.telemetry) == ["l1 negative"] * 2

    await world.outcome(b"o" * 32)
    assert world.computed == 2
    world.clock.step(5)
    await world.outcome()
    assert world.computed == 3


@pytest.mark.parametrize(
    "error",
    [
        GatewayError(Fault.INVALID, "our own"),
        GatewayError(Fault.INVALID, "402", why=Why("402", answered=True)),
        GatewayError(Fault.NOT_FOUND, "no such model"),
        GatewayError(Fault.FORBIDDEN, "no"),
        GatewayError(Fault.OVERLOADED, "later", retryable=True),
        GatewayError(Fault.UNAVAILABLE, "down", retryable=True, counts=True, why=Why("refused")),
        GatewayError(Fault.DEADLINE, "late"),
        GatewayError(Fault.INVALID, "odd", retryable=True, why=OF_INPUT),
        GatewayError(Fault.INVALID, "x" * (MAX_MESSAGE_CHARS + 1), why=OF_INPUT),
        GatewayError(Fault.INVALID, "[request id: 77] bad", why=OF_INPUT),
    ],
    ids=lambda error: error.message[:20],
)
@virtual_time
async def test_what_is_not_of_the_inputs_is_not_kept(error: GatewayError) -> None:
    world = World(error)

    for _ in range(2):
        await world.outcome(id="77")
    assert (world.computed, len(world.verdicts)) == (2, 0)


@virtual_time
async def test_without_a_key_nothing_is_kept() -> None:
    world = World(REFUSED)

    for _ in range(2):
        await world.outcome(b"")
    assert (world.computed, len(world.verdicts)) == (2, 0)


@pytest.mark.parametrize(
    ("control", "computed"),
    [
        (CacheDirectives(no_cache=True), 2),
        (REFRESH, 2),
        (CacheDirectives(max_age_s=1), 2),
        (CacheDirectives(max_age_s=2), 1),
        (CacheDirectives(only_if_cached=True), 1),
    ],
)
@virtual_time
async def test_it_obeys_directives(control: CacheDirectives, computed: int) -> None:
    world = World(REFUSED)
    await world.outcome()
    world.clock.step(2)

    await world.outcome(cache_control=control)
    assert world.computed == computed


@virtual_time
async def test_an_answer_ends_a_verdict() -> None:
    world = World(REFUSED, answer("central"))
    await world.outcome()

    assert await world.outcome(cache_control=CacheDirectives(no_cache=True)) == answer("central")
    assert (len(world.verdicts), world.verdicts.taken_bytes) == (0, 0)


def test_a_flood_of_verdicts_is_bounded() -> None:
    """The oldest go first; one that is larger than everything is not kept."""
    verdicts = NegativeAnswers(2000)
    for number in range(10_000):
        verdicts.put(b"%032d" % number, NegativeAnswer("m", Fault.INVALID, "no", 0.0, 9.0))
        assert verdicts.taken_bytes <= 2000
    assert len(verdicts) == 3
    assert verdicts.get(b"%032d" % 9_999, 1.0) is not None
    assert verdicts.get(b"%032d" % 0, 1.0) is None
    verdicts.put(b"%032d" % 9_999, NegativeAnswer("m", Fault.INVALID, "n" * 2000, 0.0, 9.0))
    assert (len(verdicts), repr(verdicts)) == (2, "<NegativeAnswers 2 in 1024 of 2000 bytes>")
    verdicts.forget("m")
    assert (len(verdicts), verdicts.taken_bytes) == (0, 0)


def test_repr() -> None:
    assert repr(World().negative) == "<NegativeCache for 5 s, <NegativeAnswers 0 in 0 of 1048576 bytes>>"
