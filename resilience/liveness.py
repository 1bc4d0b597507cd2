"""The health of an endpoint that leaves calls without an answer is checked."""

from __future__ import annotations

from typing import Final

from gateway.core.clock import Clock
from resilience.ejection import Ejection
from resilience.health_check import BackgroundTask, Check, doubled_s, verdict_of
from resilience.settings import BreakerSettings

_LONGEST_S: Final = 30.0


class LivenessCheck:
    """Counts calls in a row that ended without any answer: the caller's time was up, or it left.

    None of them is evidence: the caller may have been in a hurry. But where every caller is, nothing else
    would ever show that a peer takes connections and says nothing. So after ``consecutive_5xx`` of them its
    health is checked, and it is out only if that is not answered, either. The next check comes later each
    time, until there is an answer: a server may be slower than its callers for hours.
    """

    def __init__(self, ejection: Ejection, check: Check, settings: BreakerSettings, clock: Clock) -> None:
        self._ejection, self._check, self._settings, self._clock = ejection, check, settings, clock
        self._unanswered = self._checks = 0
        self._not_before = 0.0
        self._task = BackgroundTask()

    def __repr__(self) -> str:
        return f"<LivenessCheck of {self._ejection!r}, {self._unanswered} unanswered>"

    def answered(self) -> None:
        """A call was answered."""
        self._unanswered = self._checks = 0

    def unanswered(self) -> None:
        """A call ended without an answer, and it was not for the endpoint's sake."""
        self._unanswered += 1
        if (
            self._unanswered >= self._settings.consecutive_5xx
            and self._ejection.is_closed
            and self._clock.now() >= self._not_before
        ):
            self._task.start(self._check_health)

    async def aclose(self) -> None:
        """Check no more."""
        await self._task.aclose()

    async def _check_health(self) -> None:
        settings = self._settings.health_check
        self._not_before = self._clock.now() + doubled_s(
            settings.unhealthy_interval_s, self._checks, _LONGEST_S
        )
        self._checks += 1
        verdict = await verdict_of(self._check, settings.timeout_s, self._ejection.endpoint)
        # A call that was answered meanwhile has set the count back.
        was_answered, self._unanswered = not self._unanswered, 0
        if verdict.why is not None and not verdict.why.answered and not was_answered:
            self._ejection.trip(verdict.why)
