"""Compares the members of a pool in turns, and puts those out that fail much more than the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.core.clock import Chance, Clock
from gateway.core.errors import Why
from resilience.health_check import BackgroundTask
from resilience.outcomes import Interval
from resilience.outliers import outliers
from resilience.settings import OutlierSettings

_log = logging.getLogger("edgeway.breaker")


class Watched(Protocol):
    """One member, as it is compared (``EndpointHealth``)."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def is_well(self) -> bool:
        """Whether it is in."""
        ...

    def interval(self) -> Interval:
        """Return how its requests ended since the last call."""
        ...

    def eject(self, why: Why, for_s: float) -> None:
        """Put it out, for so many seconds while others can take its requests."""
        ...


class OutlierDetector:
    """Looks at all members every ``interval_s`` seconds, from ``start`` to ``aclose``.

    An ejection takes ``base_ejection_time_s`` times the number of ejections that were lately: each look that
    finds the member in, and no outlier, takes one off. The last member that is in is never put out, nor more
    than ``max_ejection_percent`` of all, but one may always be.

    Args:
        settings: thresholds and times.
        members: returns those of now; it is called for each look.
        clock: time, and sleep.
        chance: decides where less than all cases are enforced.
    """

    def __init__(
        self,
        settings: OutlierSettings,
        members: Callable[[], Sequence[Watched]],
        *,
        clock: Clock,
        chance: Chance,
    ) -> None:
        self._settings, self._members = settings, members
        self._clock, self._chance = clock, chance
        self._times: dict[str, int] = {}
        self._task = BackgroundTask()

    def __repr__(self) -> str:
        running = "stopped" if self._task.is_idle else "running"
        return f"<OutlierDetector every {self._settings.interval_s:g} s, {running}>"

    def start(self) -> None:
        """Begin to compare, unless it does already."""
        self._task.start(self._run)

    async def aclose(self) -> None:
        """Compare no more."""
        await self._task.aclose()

    def look(self) -> None:
        """Compare the members now."""
        members = {member.name: member for member in self._members()}
        intervals = [member.interval() for member in members.values() if member.is_well]
        for name, why, enforced in outliers(intervals, self._settings):
            if self._may_eject(members) and self._chance.random() * 100 < enforced:
                self._times[name] = times = self._times.get(name, 0) + 1
                for_s = min(self._settings.base_ejection_time_s * times, self._settings.max_ejection_time_s)
                members[name].eject(why, for_s)
        self._forgive(members)

    def _may_eject(self, members: dict[str, Watched]) -> bool:
        out = sum(not member.is_well for member in members.values())
        if len(members) - out <= 1:
            return False
        return not out or 100 * (out + 1) <= self._settings.max_ejection_percent * len(members)

    def _forgive(self, members: dict[str, Watched]) -> None:
        left = {name: times - members[name].is_well for name, times in self._times.items() if name in members}
        self._times = {name: times for name, times in left.items() if times > 0}

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(self._settings.interval_s)
            try:
                self.look()
            except Exception:  # noqa: BLE001 - requests go on, and the next look may be better
                _log.exception("the members of a pool could not be compared")
