"""Prober: when an endpoint's health is checked."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from gateway.core.clock import LoopClock
from gateway.core.verdict import Verdict
from resilience.settings import HealthCheckSettings
from tests.fakes.virtual_time import virtual_time
from tests.resilience.peers import REFUSED, UNREADY, Guarded, Peer, silent


async def opened(peer: Peer, seed: int = 0, **settings) -> Guarded:
    guarded = Guarded(peer, seed=seed, **settings)
    await guarded.asks(5)
    assert guarded.health.state == "open"
    return guarded


def gaps(peer: Peer) -> list[float]:
    return [later - earlier for earlier, later in pairwise([1000.0, *peer.checks])]


@pytest.mark.parametrize("seed", range(5))
def test_checks_start_soon_and_get_rare(seed: int) -> None:
    """0.1 to 0.25 s, twice as much each time, at most 30 s: with jitter, and while others can take over."""

    @virtual_time
    async def check() -> None:
        peer = Peer(silent(), REFUSED, last=False)
        guarded = await opened(peer, seed)
        await asyncio.sleep(300)
        await guarded.health.aclose()

        for number, gap in enumerate(gaps(peer)):
            longest = min(0.25 * 2**number, 30.0)
            assert 0.4 * longest - 1e-6 <= gap <= longest + 1e-6
        assert len(peer.checks) < 40

    check()


@pytest.mark.parametrize("seed", range(5))
def test_the_last_one_is_checked_often(seed: int) -> None:
    """At most half a second apart by default, for as long as it takes; also where the settings say 30 s."""

    @virtual_time
    async def check() -> None:
        peer = Peer(silent(), REFUSED, last=True)
        guarded = await opened(peer, seed, base_ejection_time_s=30.0)
        await asyncio.sleep(300)
        await guarded.health.aclose()

        assert max(gaps(peer)) <= 0.5 + 1e-6

    check()


@virtual_time
async def test_becoming_the_last_one_is_noticed() -> None:
    """Whoever could have taken over is gone now: the long wait is over."""
    peer = Peer(silent(), REFUSED, last=False)
    guarded = await opened(peer)
    await asyncio.sleep(120)
    count = len(peer.checks)
    peer.last = True

    await asyncio.sleep(1)
    await guarded.health.aclose()

    assert len(peer.checks) > count


@virtual_time
async def test_checks_end_with_the_outage() -> None:
    """A closed circuit has no task, and asks nothing."""
    peer = Peer(silent(), REFUSED, last=True)
    guarded = await opened(peer)
    peer.become(None, None)
    await asyncio.sleep(0.5)
    assert guarded.health.state == "half_open"
    assert await guarded.ask() == "ok"
    count = len(peer.checks)

    await asyncio.sleep(60)

    assert (guarded.health.state, len(peer.checks)) == ("closed", count)


@virtual_time
async def test_a_check_that_hangs_ends_in_time_and_holds_the_next_up_no_longer() -> None:
    """One second for an answer, then the next question."""
    peer = Peer(silent("timeout"), last=True)

    async def hang() -> Verdict:
        peer.checks.append(LoopClock().now())
        await asyncio.sleep(3600)
        raise AssertionError

    peer.check = hang  # type: ignore[method-assign]
    guarded = await opened(peer)
    await asyncio.sleep(60)
    await guarded.health.aclose()

    assert max(gaps(peer)) <= 1.0 + 1e-6
    assert guarded.health.report()["reason"] == "timeout"


@virtual_time
async def test_what_we_lack_is_no_verdict() -> None:
    """Without descriptors of ours nothing is known; the checks go on at their pace."""
    peer = Peer(silent(), last=False)
    peer.verdict = Verdict(ours=True)
    guarded = await opened(peer)

    await asyncio.sleep(10)

    assert len(peer.checks) > 30
    assert guarded.health.report()["reason"] == "refused"
    await guarded.health.aclose()


@virtual_time
async def test_a_check_that_fails_by_a_bug_does_not_end_the_checks(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the next one may know better."""
    peer = Peer(silent(), last=True)

    is_broken = True

    async def check() -> Verdict:
        if is_broken:
            raise KeyError("bug")
        return Verdict()

    peer.check = check  # type: ignore[method-assign]
    guarded = await opened(peer)
    await asyncio.sleep(1)
    assert guarded.health.state == "open"
    is_broken = False
    await asyncio.sleep(1)

    assert guarded.health.state == "half_open"
    assert "could not be checked" in caplog.text


@virtual_time
async def test_somebody_who_says_he_is_not_ready_is_tried_once_a_check() -> None:
    """The last one may serve all the same; where nobody answers, no request is made to wait for it."""
    peer = Peer(silent(), UNREADY, last=True)
    guarded = await opened(peer)
    await asyncio.sleep(1)
    checks = len(peer.checks)
    await asyncio.sleep(1)

    outcomes = await guarded.asks(4)
    assert outcomes == ["refused", "out", "out", "out"]

    peer.become(None, UNREADY)
    await asyncio.sleep(0.5)
    assert await guarded.ask() == "ok"
    assert guarded.health.state == "closed"
    assert checks >= 2
    await asyncio.sleep(1)


@virtual_time
async def test_a_trial_that_leaves_makes_room_for_another() -> None:
    """A caller who goes away proves nothing, and takes nobody's place."""
    peer = Peer(silent(), UNREADY, last=True)
    guarded = await opened(peer)
    await asyncio.sleep(1)
    trial = guarded.health.admit()
    assert trial is not None
    assert guarded.health.admit() is None

    guarded.health.left(trial)
    another = guarded.health.admit()
    assert another is not None
    del another
    await asyncio.sleep(0.5)
    assert guarded.health.is_available
    await guarded.health.aclose()


@virtual_time
async def test_let_in_and_failing_it_is_out_for_twice_as_long() -> None:
    """A health check that knows nothing of what fails does not let the requests run against it for ever."""
    peer = Peer(silent("timeout"), last=False)
    guarded = await opened(peer)
    for _ in range(200):
        await guarded.ask()
        await asyncio.sleep(0.05)

    assert 3 <= len(peer.checks) <= 7
    await guarded.health.aclose()


@virtual_time
async def test_so_many_good_checks_in_a_row_let_it_in() -> None:
    """Soon after each other; one that fails begins the row anew."""
    peer = Peer(silent(), REFUSED, last=False)
    guarded = await opened(peer, health_check=HealthCheckSettings(healthy_threshold=3))
    await asyncio.sleep(60)
    peer.verdict = Verdict()
    for _ in range(2):
        count = len(peer.checks)
        while len(peer.checks) < count + 2:
            await asyncio.sleep(0.05)
        assert guarded.health.state == "open"
        peer.verdict = Verdict(REFUSED)
        while len(peer.checks) < count + 3:
            await asyncio.sleep(0.05)
        peer.verdict = Verdict()
    while guarded.health.state == "open":
        await asyncio.sleep(0.05)

    assert max(later - earlier for earlier, later in pairwise(peer.checks[-3:])) <= 0.55
    await guarded.health.aclose()
