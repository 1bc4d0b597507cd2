"""How loaded this process says that it is."""

from __future__ import annotations

from gateway.app.own_load import OwnLoad
from gateway.core.clock import LoopClock
from gateway.upstreams.load import LoadReport, parse_report
from resilience.admission import Seats


class SteppedClock(LoopClock):
    """A clock that its test moves."""

    time_s = 100.0

    def now(self) -> float:
        return self.time_s

    def advance(self, seconds: float) -> None:
        self.time_s += seconds


def test_it_says_what_gateways_read():
    """Requests beside the limit, at once; CPU over a second and more."""
    seats, clock, used = Seats(8), SteppedClock(), [3.0]
    load = OwnLoad(seats, clock, cpu_s=lambda: used[0], cores=2)
    seats.taken = 2
    assert parse_report(load().decode()) == LoadReport(application=0.25, cpu=0.0, named={"running": 2.0})
    used[0] = 4.0
    clock.advance(0.5)
    assert parse_report(load().decode()).cpu == 0.0
    clock.advance(0.5)
    assert parse_report(load().decode()).cpu == 0.5
    clock.advance(10)
    assert parse_report(load().decode()).cpu == 0.0
    assert "application_utilization=0.25" in repr(load)
