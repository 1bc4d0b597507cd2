"""Checking the health of a member that serves, where the settings want that."""

from __future__ import annotations

from functools import partial

from gateway.core.clock import Chance, Clock
from resilience.ejection import Ejection
from resilience.health_check import BackgroundTask, Check, verdict_of
from resilience.settings import HealthCheckSettings


class ActiveCheck:
    """Checks one member every ``interval_s`` seconds while it is in; ``Prober`` checks it while it is out.

    ``unhealthy_threshold`` checks in a row that fail put it out. A check that this process could not make
    says nothing.

    Args:
        ejection: the circuit.
        check: checks the member's health.
        settings: times and thresholds; without an ``interval_s`` nothing is checked.
        clock: sleeps.
        chance: draws the wait before the first check, so that many gateways do not ask at once.
    """

    def __init__(
        self,
        ejection: Ejection,
        check: Check,
        settings: HealthCheckSettings,
        *,
        clock: Clock,
        chance: Chance,
    ) -> None:
        self._ejection, self._check, self._settings = ejection, check, settings
        self._clock, self._chance = clock, chance
        self._failed = 0
        self._task = BackgroundTask()

    def __repr__(self) -> str:
        most = self._settings.unhealthy_threshold
        return f"<ActiveCheck of {self._ejection!r}, {self._failed} of {most} failed>"

    def start(self) -> None:
        """Begin to check, if the settings want that, and unless it does already."""
        interval_s = self._settings.interval_s
        if interval_s is not None:
            self._task.start(partial(self._run, interval_s))

    async def aclose(self) -> None:
        """Check no more."""
        await self._task.aclose()

    async def _run(self, interval_s: float) -> None:
        await self._clock.sleep(self._chance.uniform(0.0, self._settings.initial_jitter_s))
        while True:
            if self._ejection.is_open:
                self._failed = 0
            else:
                await self._look()
            await self._clock.sleep(interval_s)

    async def _look(self) -> None:
        verdict = await verdict_of(self._check, self._settings.timeout_s, self._ejection.endpoint)
        if verdict.ours:
            return
        if verdict.why is None:
            self._failed = 0
            return
        self._failed += 1
        if self._failed >= self._settings.unhealthy_threshold:
            self._failed = 0
            self._ejection.trip(verdict.why)
