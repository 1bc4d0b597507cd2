"""Clocks whose fine timer is the test's: in the loop's own time, or at a stand."""

from __future__ import annotations

from gateway.core.clock import LoopClock


class VirtualClock(LoopClock):
    """Use with ``@virtual_time``: what slept for 2 s took 2 s, though no time passed."""

    def tick(self) -> float:  # type: ignore[override]
        return self.now()


class StillClock(LoopClock):
    """A turn of the loop has the time that its work takes, however slow the machine is."""

    def tick(self) -> float:  # type: ignore[override]
        return 0.0
