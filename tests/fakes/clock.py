"""A clock that measures in the loop's own time, so that a test on a VirtualLoop can assert durations."""

from __future__ import annotations

from gateway.core.clock import LoopClock


class VirtualClock(LoopClock):
    """Use with ``@virtual_time``: what slept for 2 s took 2 s, though no time passed."""

    def tick(self) -> float:  # type: ignore[override]
        return self.now()
