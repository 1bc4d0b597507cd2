"""Where callers' deadlines are all that ends calls, a health check finds out whether the server answers."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.errors import Fault, GatewayError, Why
from gateway.core.verdict import Verdict
from tests.fakes.virtual_time import virtual_time
from tests.resilience.peers import REFUSED, UNREADY, Guarded, Peer

LATE = GatewayError(Fault.DEADLINE, "no answer before the deadline")
"""The caller's own deadline: no evidence."""


@pytest.mark.parametrize("why", [REFUSED, Why("timeout")], ids=["refused", "timeout"])
@pytest.mark.parametrize("last", [True, False])
def test_nobody_answers_anything(why: Why, last: bool) -> None:
    """It is out, with the health check's reason."""

    @virtual_time
    async def check() -> None:
        peer = Peer(LATE, why, last=last)
        guarded = Guarded(peer)
        await guarded.asks(4)
        assert peer.checks == []

        await guarded.asks(1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        assert guarded.health.report() == {"state": "open", "reason": why.reason, "detail": ""}
        await guarded.health.aclose()

    check()


@virtual_time
async def test_a_check_that_hangs_is_no_answer() -> None:
    """It ends after its own time."""
    peer = Peer(LATE, last=True)

    async def hang() -> Verdict:
        await asyncio.Event().wait()
        return Verdict()

    peer.check = hang  # type: ignore[method-assign]
    guarded = Guarded(peer)
    await guarded.asks(5)
    await asyncio.sleep(1.1)

    assert guarded.health.state == "open"
    await guarded.health.aclose()


@pytest.mark.parametrize("why", [None, UNREADY], ids=["well", "not ready"])
def test_a_server_that_is_slower_than_its_callers_stays(why: Why | None) -> None:
    """A deadline is no evidence, however many there are; and the question is not put with every one of them."""

    @virtual_time
    async def check() -> None:
        peer = Peer(LATE, why, last=False)
        guarded = Guarded(peer)
        for _ in range(600):
            await guarded.ask()
            await asyncio.sleep(0.1)

        assert guarded.health.state == "closed"
        assert 4 <= len(peer.checks) <= 9
        await guarded.health.aclose()

    check()


@virtual_time
async def test_an_answer_in_between_begins_the_count_anew() -> None:
    """In a row means in a row."""
    peer = Peer(LATE, REFUSED, last=False)
    guarded = Guarded(peer)
    for _ in range(10):
        peer.outcome = LATE
        await guarded.asks(4)
        peer.outcome = None
        await guarded.ask()
        await asyncio.sleep(1)

    assert peer.checks == []
    await guarded.health.aclose()


@virtual_time
async def test_an_answer_during_the_check_is_enough() -> None:
    """The server answers after all."""
    peer = Peer(LATE, last=False)

    async def refused_late() -> Verdict:
        await asyncio.sleep(0.5)
        return Verdict(REFUSED)

    peer.check = refused_late  # type: ignore[method-assign]
    guarded = Guarded(peer)
    await guarded.asks(5)
    await asyncio.sleep(0.1)
    peer.outcome = None
    await guarded.ask()
    await asyncio.sleep(1)

    assert guarded.health.state == "closed"
    await guarded.health.aclose()
