"""ActiveCheck: a member that serves is checked, where the settings want that."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.clock import LoopClock
from gateway.core.verdict import Verdict
from resilience.settings import HealthCheckSettings
from tests.fakes.virtual_time import virtual_time
from tests.resilience.peers import REFUSED, UNREADY, Guarded, Peer


def checked(peer: Peer, **settings: float) -> Guarded:
    guarded = Guarded(peer, health_check=HealthCheckSettings(interval_s=2.0, **settings))  # type: ignore[arg-type]
    guarded.health.start()
    return guarded


@pytest.mark.parametrize("why", [REFUSED, UNREADY])
def test_so_many_failed_checks_put_it_out_without_a_request(why):
    @virtual_time
    async def check() -> None:
        peer = Peer(last=False)
        guarded = checked(peer)
        await asyncio.sleep(10)
        assert guarded.health.state == "closed"
        peer.verdict = Verdict(why)
        await asyncio.sleep(3.9)
        assert guarded.health.state == "closed"
        await asyncio.sleep(2.2)
        assert guarded.health.state == "open"
        assert guarded.health.report()["reason"] == why.reason
        peer.verdict = Verdict()
        await asyncio.sleep(5)
        assert guarded.health.state == "half_open"
        assert await guarded.ask() == "ok"
        await guarded.health.aclose()

    check()


@virtual_time
async def test_two_failures_of_three_and_what_is_ours_change_nothing():
    peer = Peer(last=False)
    guarded = checked(peer, initial_jitter_s=0.0)
    for verdict in (Verdict(REFUSED), Verdict(REFUSED), Verdict(ours=True), Verdict()) * 3:
        peer.verdict = verdict
        await asyncio.sleep(2)
    assert guarded.health.state == "closed"
    await guarded.health.aclose()


@virtual_time
async def test_nobody_is_checked_by_default():
    peer = Peer(last=False)
    guarded = Guarded(peer)
    guarded.health.start()
    await asyncio.sleep(60)
    assert not peer.checks
    await guarded.health.aclose()


@virtual_time
async def test_it_ends():
    peer = Peer(last=False)
    guarded = checked(peer)
    await asyncio.sleep(10)
    await guarded.health.aclose()
    count = len(peer.checks)
    await asyncio.sleep(10)
    assert count >= 4 and len(peer.checks) == count


@virtual_time
async def test_the_first_is_drawn_apart():
    """Many gateways that begin at once do not ask at once."""
    began = LoopClock().now()
    peers = [Peer(last=False) for _ in range(5)]
    guarded = [
        Guarded(peer, seed=seed, health_check=HealthCheckSettings(interval_s=50.0, initial_jitter_s=10.0))
        for seed, peer in enumerate(peers)
    ]
    for each in guarded:
        each.health.start()
    await asyncio.sleep(11)
    firsts = sorted(peer.checks[0] - began for peer in peers)
    assert 0 <= firsts[0] and firsts[-1] <= 10 and firsts[-1] - firsts[0] > 1
    for each in guarded:
        await each.health.aclose()
