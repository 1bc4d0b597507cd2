"""Which keys of a neighbour's offer are wanted, and what becomes of the answers."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cache.key import KEY_VERSION
from cache.levels.envelope import Envelope
from cache.levels.memory import MemoryLevel, MemorySettings
from cache.warming.level import WarmLevel
from cache.warming.messages import MOST_KEYS, Offer, Offered, Values
from cache.warming.receiver import WarmingReceiver
from gateway.core.cache_events import CacheWarmed
from gateway.core.telemetry import Silence
from tests.cache.build import SECRET, StepClock, entry
from tests.fakes.telemetry import RecordingTelemetry

ENTRY = entry(fresh_s=1000)
RATE = 1000.0


class Neighbour:
    """A receiver in region ``there``, and what it is sent."""

    def __init__(self, telemetry: RecordingTelemetry, places: int = 4) -> None:
        self.clock, self.telemetry = StepClock(), telemetry
        self.level = WarmLevel(places * ENTRY.size, self.clock, Silence())
        self.near = MemoryLevel(MemorySettings(), Silence(), self.clock)
        self.envelope = Envelope(SECRET, "warm")
        self.regions = {"any": frozenset({"here", "there"}), "only-here": frozenset({"here"})}
        self.receiver = WarmingReceiver(
            "there",
            self.level,
            self.near,
            envelope=self.envelope,
            instruction_set="avx2",
            regions_of=lambda: self.regions,
            rate=RATE,
            clock=self.clock,
            telemetry=telemetry,
        )

    def offer(self, *keys: Offered, version: int = KEY_VERSION, instruction_set: str = "avx2") -> Offer:
        return Offer(version, instruction_set, keys)

    async def send(self, *numbers: int, sealed: bytes | None = None) -> None:
        values = [(key(n), sealed or self.envelope.seal(key(n), ENTRY)) for n in numbers]
        await self.receiver.came("here", Values(tuple(values)))

    @property
    def outcomes(self) -> list[str]:
        return [event.outcome for event in self.telemetry.of(CacheWarmed)]


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def offered(number: int, residency: str = "any", **changes: object) -> Offered:
    made = Offered(key(number), residency, ENTRY.size, ENTRY.soft_expiry)
    return made._replace(**changes)  # type: ignore[arg-type]


async def test_what_is_wanted_is_held(telemetry: RecordingTelemetry) -> None:
    """And offered once more it is known; a fresher one is wanted."""
    there = Neighbour(telemetry)
    assert there.receiver.offered("here", there.offer(offered(1), offered(2))).places == (0, 1)
    await there.send(1, 2)

    again = there.offer(offered(1), offered(2, soft_expiry=ENTRY.soft_expiry + 50))
    assert there.receiver.offered("here", again).places == (1,)
    assert await there.level.get(key(1)) is not None
    assert there.outcomes == ["wanted", "wanted", "kept", "kept", "held", "wanted"]
    assert "1 on their way" in repr(there.receiver)


@pytest.mark.parametrize(
    ("bad", "outcome"),
    [
        (offered(1, "only-here"), "residency"),
        (offered(1, "any&only-here"), "residency"),
        (offered(1, "unknown"), "residency"),
        (offered(1, ""), "residency"),
        (offered(1, key=b"short"), "garbage"),
        (offered(1, size=0), "garbage"),
        (offered(1, soft_expiry=0.0), "stale"),
        (offered(1, soft_expiry=float("nan")), "stale"),
        (offered(1, size=1 << 60), "full"),
    ],
)
async def test_what_is_not_wanted_is_not_taken_either(
    telemetry: RecordingTelemetry, bad: Offered, outcome: str
) -> None:
    there = Neighbour(telemetry)
    assert there.receiver.offered("here", there.offer(bad, offered(2))).places == (1,)
    await there.send(1, 2)

    assert there.outcomes == [outcome, "wanted", "garbage", "kept"]
    assert len(there.level) == 1


async def test_what_memory_has_is_not_fetched(telemetry: RecordingTelemetry) -> None:
    """Unless it is less fresh than what is offered."""
    there = Neighbour(telemetry)
    await there.near.put(key(1), ENTRY)
    await there.near.put(key(2), replace(ENTRY, soft_expiry=ENTRY.soft_expiry - 100))

    assert there.receiver.offered("here", there.offer(offered(1), offered(2))).places == (1,)


async def test_the_policy_of_the_moment_counts(telemetry: RecordingTelemetry) -> None:
    """An answer that may no longer be here when it comes is not held."""
    there = Neighbour(telemetry)
    there.receiver.offered("here", there.offer(offered(1)))
    there.regions = {"any": frozenset({"here"})}
    await there.send(1)

    assert there.outcomes == ["wanted", "residency"]
    assert not len(there.level)


async def test_what_does_not_open_or_is_old_is_not_held(telemetry: RecordingTelemetry) -> None:
    """Another key's envelope, nonsense, and one that took too long."""
    there = Neighbour(telemetry)
    there.receiver.offered("here", there.offer(offered(1), offered(2), offered(3)))
    await there.send(1, sealed=there.envelope.seal(key(9), ENTRY))
    await there.send(2, sealed=b"nonsense")
    there.clock.step(1001)
    await there.send(3)

    assert there.outcomes[3:] == ["garbage", "garbage", "stale"]
    assert not len(there.level)


async def test_it_is_never_fuller_than_it_may_be(telemetry: RecordingTelemetry) -> None:
    """Of one offer no more is wanted than has room; an answer larger than it was said to be finds none."""
    there = Neighbour(telemetry, places=2)
    wanted = there.receiver.offered("here", there.offer(*map(offered, range(5))))
    assert wanted.places == (0, 1)
    there.receiver.offered("here", there.offer(*[offered(number, size=1) for number in range(5)]))
    await there.send(*range(5))

    assert len(there.level) == 2
    assert there.outcomes[-3:] == ["full"] * 3


async def test_more_at_once_than_is_agreed_is_left_out(telemetry: RecordingTelemetry) -> None:
    """An offer is cut, and so is what is on its way."""
    there = Neighbour(telemetry, places=100_000)
    for start in range(0, 6000, 300):
        offer = there.offer(*map(offered, range(start, start + 300)))
        assert len(there.receiver.offered("here", offer).places) == MOST_KEYS

    assert f" {16 * MOST_KEYS} on their way" in repr(there.receiver)


async def test_the_next_offer_waits_for_what_was_fetched(telemetry: RecordingTelemetry) -> None:
    """By the bytes; what is not wanted costs no time."""
    there = Neighbour(telemetry)
    first = there.receiver.offered("here", there.offer(offered(1)))
    second = there.receiver.offered("here", there.offer(offered(2)))

    assert first.wait_s == pytest.approx(ENTRY.size / RATE, abs=0.1)
    assert second.wait_s == pytest.approx(2 * ENTRY.size / RATE, abs=0.5)


@pytest.mark.parametrize(
    ("changes", "why"), [({"version": KEY_VERSION + 1}, "version"), ({"instruction_set": "neon"}, "neon")]
)
async def test_keys_that_nobody_here_makes_are_refused_altogether(
    telemetry: RecordingTelemetry, changes: dict[str, object], why: str
) -> None:
    """It says why."""
    there = Neighbour(telemetry)
    wanted = there.receiver.offered("here", there.offer(offered(1), **changes))  # type: ignore[arg-type]

    assert not wanted.places and why in wanted.why
