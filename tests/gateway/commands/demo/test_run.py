"""The demo's plan: its faults, and where clients go meanwhile; tests/e2e/test_demo.py runs it."""

from __future__ import annotations

from gateway.commands.demo.run import ADDRESSES, FAILOVER, FAULTS
from gateway.commands.demo.stage import REGIONS


def test_faults_come_one_after_the_other_and_leave_the_end_undisturbed() -> None:
    assert [fault.at for fault in FAULTS] == sorted(fault.at for fault in FAULTS)
    assert 0 < FAULTS[0].at
    assert FAULTS[-1].at < 1
    assert {fault.phase for fault in FAULTS} == {"central_down", "redis_down", "gateway_down"}


def test_killed_region_is_one_that_others_stand_in_for() -> None:
    """Every region's clients begin at home and know every other region."""
    assert FAILOVER.keys() == ADDRESSES.keys() == set(REGIONS)
    for region, gateways in FAILOVER.items():
        assert gateways[0] == region
        assert set(gateways) == set(REGIONS)
    assert {fault.region for fault in FAULTS} <= {"", *REGIONS}
