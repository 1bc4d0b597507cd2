"""Health checks end in bounded time and leave no task behind."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from gateway.core.errors import Why
from gateway.core.verdict import Verdict
from resilience.health_check import BackgroundTask, doubled_s, jittered_s, verdict_of
from tests.fakes.virtual_time import virtual_time


async def well() -> Verdict:
    return Verdict()


async def hang() -> Verdict:
    await asyncio.sleep(3600)
    return Verdict()


async def broken() -> Verdict:
    raise KeyError("bug")


@virtual_time
async def test_a_check_ends_in_its_time() -> None:
    """Silence is evidence."""
    began = asyncio.get_running_loop().time()

    assert await verdict_of(well, 1.0, "far") == Verdict()
    assert await verdict_of(hang, 1.0, "far") == Verdict(Why("timeout"))
    assert asyncio.get_running_loop().time() - began == pytest.approx(1.0)


@virtual_time
async def test_a_bug_of_ours_is_no_evidence(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged."""
    assert await verdict_of(broken, 1.0, "far") == Verdict(ours=True)
    assert "the health of far could not be checked" in caplog.text


def test_waits_double_up_to_the_longest() -> None:
    """However often: no number overflows."""
    assert [doubled_s(0.25, times, 30.0) for times in (0, 1, 2, 7, 10_000)] == [0.25, 0.5, 1.0, 30.0, 30.0]


def test_waits_have_jitter() -> None:
    """Endpoints that went out together are not checked together."""
    chance = Random(1)
    waits = [jittered_s(10.0, chance) for _ in range(1000)]

    assert 4.0 <= min(waits) < 4.1
    assert 9.9 < max(waits) <= 10.0


@virtual_time
async def test_one_task_at_a_time() -> None:
    """A second start changes nothing while the first runs; afterwards there may be another."""
    task, runs = BackgroundTask(), []

    async def run() -> None:
        runs.append(asyncio.get_running_loop().time())
        await asyncio.sleep(1)

    task.start(run)
    task.start(run)
    assert (task.is_idle, repr(task)) == (False, "<BackgroundTask running>")
    await asyncio.sleep(2)
    assert (task.is_idle, repr(task)) == (True, "<BackgroundTask idle>")
    task.start(run)
    await asyncio.sleep(2)

    assert runs == [1000.0, 1002.0]


@virtual_time
async def test_closed_it_starts_nothing() -> None:
    """And what ran has ended when ``aclose`` returns; ``virtual_time`` looks for tasks left behind."""
    task = BackgroundTask()

    async def run() -> None:
        await asyncio.sleep(3600)

    task.start(run)
    await asyncio.sleep(0)
    await task.aclose()
    assert task.is_idle

    task.start(run)
    assert (task.is_idle, repr(task)) == (True, "<BackgroundTask closed>")
    await task.aclose()
