"""What a connection waits for, and for how long."""

from __future__ import annotations

import pytest

from gateway.http.server.http1 import phase as phases
from gateway.http.server.http1.phase import Http1Phase
from tests.fakes.server_context import books

LIMITS = {
    "request_headers_timeout_s": 1.0,
    "idle_timeout_s": 2.0,
    "body_timeout_s": 4.0,
    "min_body_bytes_per_s": 100,
    "lingering_s": 3.0,
}


@pytest.mark.parametrize(
    ("name", "limit_s"),
    [
        (phases.HEAD, 1.0),
        (phases.IDLE, 2.0),
        (phases.BODY, 4.0),
        (phases.LINGERING, 3.0),
        (phases.CLOSING, None),
        (phases.SERVING, None),
    ],
)
async def test_limits(name, limit_s):
    """Each wait has its own; answers of ours have none here."""
    async with books(**LIMITS) as ledger:
        phase = Http1Phase(ledger)
        assert repr(phase) == "<Http1Phase head>"
        phase.begin(name)
        now = phase._since

        assert not phase.is_overdue(now + (limit_s or 1e6), 0)
        assert phase.is_overdue(now + (limit_s or 1e6) + 0.01, 0) is (limit_s is not None)


async def test_a_body_is_measured_by_its_average():
    """Half of the first seconds are free."""
    async with books(**LIMITS) as ledger:
        phase = Http1Phase(ledger)
        phase.begin(phases.BODY)
        now = phase._since

        assert not phase.is_overdue(now + 12, 1000)
        assert phase.is_overdue(now + 12, 999)


async def test_a_wait_that_goes_on_does_not_begin_anew():
    """Else a peer that drips would never be late."""
    async with books(**LIMITS) as ledger:
        phase = Http1Phase(ledger)
        phase._since -= 10
        began = phase._since
        phase.enter(phases.HEAD)
        assert phase._since == began
        phase.enter(phases.IDLE)
        assert phase._since > began


async def test_a_drain_waits_a_little_for_a_head():
    """The rest of it may be on its way."""
    async with books() as ledger:
        phase = Http1Phase(ledger)
        ledger.begin_drain()
        assert not phase.is_overdue(phase._since + phases.DRAIN_HEAD_S, 0)
        assert phase.is_overdue(phase._since + phases.DRAIN_HEAD_S + 0.1, 0)


async def test_a_drain_leaves_the_idle_soon():
    """Whoever waits for nothing is not waited for."""
    async with books(idle_timeout_s=1000) as ledger:
        phase = Http1Phase(ledger)
        phase.begin(phases.IDLE)
        assert not phase.is_overdue(phase._since + 2, 0)
        ledger.begin_drain()
        assert phase.is_overdue(phase._since + 2, 0)
