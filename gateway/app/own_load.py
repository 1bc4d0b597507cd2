"""How loaded this process is, as gateways that send it requests may know it (ORCA's text form)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

from gateway.core.clock import Clock
from resilience.admission import Seats

_WINDOW_S: Final = 1.0
"""Seconds over which the use of CPU is averaged, at least."""


class OwnLoad:
    """Renders a report: requests under way beside those that may be, or the use of CPU, whichever is more.

    Args:
        seats: the requests of this process.
        clock: of the event loop.
        cpu_s: returns the seconds of CPU that this process has used.
        cores: how many it may use.
    """

    def __init__(
        self,
        seats: Seats,
        clock: Clock,
        *,
        cpu_s: Callable[[], float] = time.process_time,
        cores: int | None = None,
    ) -> None:
        self._seats, self._clock, self._cpu_s = seats, clock, cpu_s
        self._cores = cores or len(os.sched_getaffinity(0))
        self._since, self._used_s = clock.now(), cpu_s()
        self._cpu = 0.0

    def __repr__(self) -> str:
        return f"<OwnLoad {self().decode()}>"

    def __call__(self) -> bytes:
        """Return the value of ``endpoint-load-metrics``."""
        seats = self._seats
        now = self._clock.now()
        if (passed_s := now - self._since) >= _WINDOW_S:
            used_s = self._cpu_s()
            self._cpu = max(0.0, used_s - self._used_s) / (passed_s * self._cores)
            self._since, self._used_s = now, used_s
        busiest = max(seats.taken / seats.limit, self._cpu)
        return b"TEXT application_utilization=%.4g, cpu_utilization=%.4g, named_metrics.running=%d" % (
            busiest,
            self._cpu,
            seats.taken,
        )
