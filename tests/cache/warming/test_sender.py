"""What is offered to a neighbour, what is sent of it, and what never leaves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import msgspec
import pytest
from msgspec.structs import replace

from cache.levels.envelope import Envelope
from cache.levels.level import Entry
from cache.levels.memory import MemoryLevel, MemorySettings
from cache.warming.messages import MOST_BYTES, MOST_KEYS, OFFER, VALUES, Offer, Values, WantedKeys
from cache.warming.sender import WarmingError, WarmingSender
from cache.warming.settings import WarmingSettings
from gateway.core.cache_events import CacheWarmed
from gateway.core.telemetry import Silence
from tests.cache.build import SECRET, StepClock, entry
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time

EVERYWHERE = frozenset({"here", "there"})
ENTRY = replace(entry(fresh_s=1000), residency="any", regions=EVERYWHERE)


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


class Link:
    """Stands in for the neighbour, which wants everything unless ``answers`` have another word."""

    def __init__(self, *answers: WantedKeys | bytes | WarmingError) -> None:
        self.answers = list(answers)
        self.offers: list[Offer] = []
        self.values: list[bytes] = []
        self.between = lambda: None

    async def __call__(self, region: str, purpose: str, body: bytes) -> bytes:
        assert region == "there"
        if purpose == VALUES:
            self.values += [name for name, _ in msgspec.msgpack.decode(body, type=Values).sealed]
            return b""
        assert purpose == OFFER
        offer = msgspec.msgpack.decode(body, type=Offer)
        self.offers.append(offer)
        self.between()
        answer = self.answers.pop(0) if self.answers else WantedKeys(tuple(range(len(offer.keys))))
        if isinstance(answer, WarmingError):
            raise answer
        return answer if isinstance(answer, bytes) else msgspec.msgpack.encode(answer)


class Sender:
    """A sender of region ``here``, whose level holds some ``entries``."""

    def __init__(self, link: Link, telemetry: RecordingTelemetry, **settings: object) -> None:
        self.clock = StepClock()
        self.level = MemoryLevel(MemorySettings(max_bytes=1 << 26, estimate=False), Silence(), self.clock)
        self.regions: Mapping[str, frozenset[str]] = {"any": EVERYWHERE, "only-here": frozenset({"here"})}
        chosen = {"to": {"there": "http://127.0.0.1:1"}, "percent": 100, **settings}
        self.sender = WarmingSender(
            WarmingSettings(**chosen),  # type: ignore[arg-type]
            self.level,
            link,
            envelope=Envelope(SECRET, "warm"),
            instruction_set="avx2",
            regions_of=lambda: self.regions,
            clock=self.clock,
            telemetry=telemetry,
        )

    async def hold(self, *entries: Entry) -> None:
        for number, held in enumerate(entries):
            await self.level.put(key(number), held)


def with_provenance(**changes: object) -> Entry:
    response = ENTRY.response
    provenance = replace(response.provenance, **changes)
    return replace(ENTRY, response=replace(response, provenance=provenance))


@virtual_time
async def test_what_is_wanted_is_sent() -> None:
    """And nothing else; places that do not exist, or come twice, are passed over."""
    telemetry, link = RecordingTelemetry(), Link(WantedKeys((1, 1, 7, -1, 2)))
    made = Sender(link, telemetry)
    await made.hold(ENTRY, ENTRY, ENTRY)
    await made.sender.round("there")

    assert [len(offer.keys) for offer in link.offers] == [3]
    assert link.values == [offered.key for offered in link.offers[0].keys[1:]]
    assert link.offers[0].instruction_set == "avx2"
    sent = telemetry.of(CacheWarmed)[-1]
    assert (sent.outcome, sent.keys) == ("sent", 2) and sent.bytes > 0


@pytest.mark.parametrize(
    "secluded",
    [
        replace(ENTRY, residency="only-here"),
        replace(ENTRY, residency="any&only-here"),
        replace(ENTRY, residency="unknown"),
        replace(ENTRY, residency=""),
        replace(ENTRY, regions=frozenset({"here"})),
        replace(ENTRY, regions=frozenset()),
        with_provenance(certified=False),
        with_provenance(stale=True),
        with_provenance(features="default"),
        replace(ENTRY, soft_expiry=1_700_000_004.0),
    ],
)
@virtual_time
async def test_what_may_not_leave_is_not_offered(secluded: Entry) -> None:
    """Its class, its request, its risk, its features or its age forbid it."""
    link = Link()
    made = Sender(link, RecordingTelemetry())
    await made.hold(secluded, ENTRY)
    await made.sender.round("there")

    assert [offered.key for offer in link.offers for offered in offer.keys] == [key(1)]
    assert link.values == [key(1)]


@virtual_time
async def test_the_policy_of_the_moment_counts() -> None:
    """Between the offer and the answer to it the class has become narrower: nothing leaves."""
    link = Link()
    made = Sender(link, RecordingTelemetry())
    await made.hold(ENTRY)

    def narrow() -> None:
        made.regions = {"any": frozenset({"here"})}

    link.between = narrow
    await made.sender.round("there")

    assert link.offers and not link.values


@virtual_time
async def test_a_message_has_so_many_keys_and_bytes() -> None:
    """The rest follows in the next, no faster than rates have it."""
    link = Link()
    made = Sender(link, RecordingTelemetry(), max_keys_per_s=MOST_KEYS, max_bytes_per_s=1 << 30)
    large = replace(ENTRY, size=MOST_BYTES // 2)
    await made.hold(*[ENTRY] * (2 * MOST_KEYS + 1))
    started = asyncio.get_running_loop().time()
    await made.sender.round("there")
    assert [len(offer.keys) for offer in link.offers] == [MOST_KEYS, MOST_KEYS, 1]
    assert asyncio.get_running_loop().time() - started >= 2.0

    link.offers.clear()
    await made.hold(*[large] * 5)
    made = Sender(link, RecordingTelemetry())
    await made.hold(*[large] * 5)
    await made.sender.round("there")
    assert [len(offer.keys) for offer in link.offers] == [2, 2, 1]


@pytest.mark.parametrize(
    ("answer", "logged"),
    [
        (WarmingError("no answer from there"), "no answer from there"),
        (WantedKeys(why="CPUs\nof another kind"), "CPUs"),
        (b"\xc1", "something else"),
        (b"\x91" * 100_000, "something else"),
    ],
)
@virtual_time
async def test_a_problem_is_logged_once(
    answer: WantedKeys | bytes | WarmingError, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Round after round it is the same; and nothing is sent meanwhile."""
    caplog.set_level(logging.WARNING, "edgeway.warming")
    link = Link(answer, answer)
    made = Sender(link, RecordingTelemetry())
    await made.hold(ENTRY)
    await made.sender.round("there")
    await made.sender.round("there")

    assert len(caplog.messages) == 1 and logged in caplog.messages[0] and "\n" not in caplog.messages[0]
    assert not link.values
    await made.sender.round("there")
    assert link.values == [key(0)] and "problems {}" in repr(made.sender)


@virtual_time
async def test_rounds_follow_one_another() -> None:
    """Every so many seconds, also where a neighbour fails."""
    link = Link(WarmingError("away"))
    made = Sender(link, RecordingTelemetry(), every_s=10.0)
    await made.hold(ENTRY)
    running = asyncio.create_task(made.sender.run())
    await asyncio.sleep(25)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert len(link.offers) == 3


@virtual_time
async def test_an_answer_that_cannot_be_sealed_stays() -> None:
    """A number beyond 64 bits, which no message can hold."""
    telemetry, link = RecordingTelemetry(), Link()
    made = Sender(link, telemetry)
    unfit = replace(ENTRY, response=replace(ENTRY.response, parameters={"n": 1 << 70}))
    await made.hold(unfit, ENTRY)
    await made.sender.round("there")

    assert link.values == [key(1)]
    assert "unfit" in [event.outcome for event in telemetry.of(CacheWarmed)]
