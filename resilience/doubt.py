"""An endpoint that leaves calls without an answer is asked whether anybody is there."""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.core.clock import Clock
from gateway.core.errors import Why
from gateway.core.verdict import Verdict
from resilience.ejection import Ejection
from resilience.probing import Check
from resilience.settings import BreakerSettings

_LONGEST_S: Final = 30.0


class Doubt:
    """Counts calls in a row that ended without any answer: the caller's time was up, or he left.

    None of them is evidence: the caller may have been in a hurry. But where every caller is, nothing else
    would ever show that a peer takes connections and says nothing. So after ``consecutive_5xx`` of them its
    health is checked, and it is out only if nobody answers that, either. The next check comes later each
    time, until there is an answer: a server may be slower than its callers for hours.
    """

    def __init__(self, ejection: Ejection, check: Check, settings: BreakerSettings, clock: Clock) -> None:
        self._ejection, self._check, self._settings, self._clock = ejection, check, settings, clock
        self._unanswered = self._asked = 0
        self._not_before = 0.0
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Doubt about {self._ejection!r}, {self._unanswered} unanswered>"

    def answered(self) -> None:
        """Somebody is there."""
        self._unanswered = self._asked = 0

    def unanswered(self) -> None:
        """A call ended without an answer, and it was not for the endpoint's sake."""
        self._unanswered += 1
        if (
            self._unanswered >= self._settings.consecutive_5xx
            and self._task is None
            and not self._closed
            and self._ejection.is_closed
            and self._clock.now() >= self._not_before
        ):
            self._task = asyncio.get_running_loop().create_task(self._ask())

    async def aclose(self) -> None:
        """Ask no more."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _ask(self) -> None:
        checks = self._settings.health_check
        wait_s = min(checks.unhealthy_interval_s * 2**self._asked, _LONGEST_S)
        self._not_before = self._clock.now() + wait_s
        self._asked = min(self._asked + 1, 16)
        try:
            async with asyncio.timeout(checks.timeout_s):
                verdict = await self._check()
        except TimeoutError:
            verdict = Verdict(Why("timeout"))
        finally:
            self._task = None
        has_heard, self._unanswered = not self._unanswered, 0
        if verdict.why is not None and not verdict.why.answered and not has_heard:
            self._ejection.trip(verdict.why)
