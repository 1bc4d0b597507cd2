"""The heartbeats of workers, counted by a parent that may itself be late."""

from __future__ import annotations

import asyncio

import pytest

from gateway.app.workers.heartbeats import Heartbeats, Pulse
from gateway.app.workers.standstill import BEAT_S, MISSED, MISSED_AT_MOST, Sight


class FakeWorker:
    """A worker whose process looks as ``sight`` says."""

    def __init__(self, state: str = "S") -> None:
        self.pulse = Pulse()
        self.pulse.data_received(b"1")
        self.pid, self.sight = 7, Sight(state, 0.0)
        self.kills = 0

    def kill(self) -> None:
        self.kills += 1
        self.pulse.connection_lost(None)


def watched(worker: FakeWorker) -> Heartbeats:
    heartbeats = Heartbeats({worker}, look=lambda _: worker.sight)
    heartbeats.check(late_s=0.0)
    return heartbeats


def test_worker_that_stands_still(caplog: pytest.LogCaptureFixture) -> None:
    """It is killed once, in less than 2 s, and the log says why."""
    worker = FakeWorker()
    heartbeats = watched(worker)
    for _ in range(MISSED - 1):
        heartbeats.check(late_s=0.0)
    assert repr(heartbeats) == "<Heartbeats of 1 workers, 1 stay out>"
    assert not worker.kills

    for _ in range(MISSED_AT_MOST):
        heartbeats.check(late_s=0.0)

    assert worker.kills == 1
    assert (MISSED + 1) * BEAT_S < 2.0
    assert "stands still and is killed: it waits for something" in caplog.text


def test_worker_that_is_slow() -> None:
    """A heartbeat now and then is enough."""
    worker = FakeWorker()
    heartbeats = watched(worker)
    for _ in range(10):
        for _ in range(MISSED - 1):
            heartbeats.check(late_s=0.0)
        worker.pulse.data_received(b"1")
        heartbeats.check(late_s=0.0)

    assert not worker.kills


def test_machine_that_stands_still() -> None:
    """A parent that is late itself has no proof against anybody, and begins to count anew."""
    worker = FakeWorker("T")
    heartbeats = watched(worker)
    for _ in range(100):
        for _ in range(MISSED - 1):
            heartbeats.check(late_s=0.01)
        heartbeats.check(late_s=BEAT_S * 1.1)

    assert not worker.kills


def test_machine_that_is_overloaded() -> None:
    """A worker that could run but does not get to is given ten seconds."""
    worker = FakeWorker("R")
    heartbeats = watched(worker)
    for _ in range(MISSED_AT_MOST - 1):
        heartbeats.check(late_s=0.0)
    assert not worker.kills

    heartbeats.check(late_s=0.0)

    assert worker.kills == 1


def test_time_is_counted_from_the_first_heartbeat_that_stays_out() -> None:
    """What a worker has used before is nothing that does not end."""
    worker = FakeWorker("R")
    heartbeats = watched(worker)
    worker.sight = Sight("R", 1000.0)
    for _ in range(MISSED):
        heartbeats.check(late_s=0.0)
    assert not worker.kills
    worker.pulse.data_received(b"1")
    heartbeats.check(late_s=0.0)

    for index in range(MISSED):
        worker.sight = Sight("R", 2000.0 + index * BEAT_S)
        heartbeats.check(late_s=0.0)

    assert worker.kills == 1


def test_worker_that_wants_no_heartbeats() -> None:
    """One that has closed its pipe ends, or is of a version that has none."""
    worker = FakeWorker()
    worker.pulse.connection_lost(None)
    heartbeats = watched(worker)
    for _ in range(MISSED_AT_MOST):
        heartbeats.check(late_s=0.0)

    assert not worker.kills


def test_worker_that_has_gone_is_forgotten() -> None:
    """What is kept is as much as there are workers."""
    alive = {FakeWorker()}
    heartbeats = Heartbeats(alive, look=lambda _: None)
    heartbeats.check(late_s=0.0)
    alive.clear()

    heartbeats.check(late_s=0.0)

    assert repr(heartbeats) == "<Heartbeats of 0 workers, 0 stay out>"


async def test_pulse() -> None:
    """It begins with a byte, or never does."""
    first, second = Pulse(), Pulse()
    waiting = asyncio.create_task(first.began())
    await asyncio.sleep(0)
    first.data_received(b"11")
    second.connection_lost(None)

    assert await waiting
    assert not await second.began()
    assert repr(first) == "<Pulse open after 2 beats>"
    assert repr(second) == "<Pulse over after 0 beats>"
