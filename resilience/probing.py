"""Checking the health of an endpoint that is out: no client's request has to find out whether it is back."""

from __future__ import annotations

from collections.abc import Callable

from gateway.core.clock import Chance, Clock
from gateway.core.verdict import Verdict
from resilience.ejection import Ejection
from resilience.health_check import BackgroundTask, Check, jittered_s, verdict_of
from resilience.settings import HealthCheckSettings


class Prober:
    """Checks the health of one endpoint while its circuit is open; there is a task only then.

    The first check comes after the base ejection time, the next ones twice as late each time, with jitter,
    at the longest ``longest_s``. While no other endpoint can take the requests they are never more than
    ``unhealthy_interval_s`` apart, counted from one beginning to the next, and one whose answer is late does
    not hold the next up for longer than its own ``timeout_s``.

    A check without an answer lets no call through: it would only wait. One that is answered with "not ready"
    lets one call through where no other endpoint can take it: some servers serve although they answer so.
    So many checks in a row as ``healthy_threshold`` let it in; what is held out for longer is not checked
    before its time, unless it has become the last one.

    Args:
        ejection: the circuit.
        check: checks the endpoint's health.
        is_last: whether there are requests that no other endpoint can take now.
        settings: the times.
        clock: time, and sleep.
        chance: draws the waits.
    """

    def __init__(
        self,
        ejection: Ejection,
        check: Check,
        is_last: Callable[[], bool],
        settings: HealthCheckSettings,
        *,
        clock: Clock,
        chance: Chance,
    ) -> None:
        self._ejection, self._check, self._is_last, self._settings = ejection, check, is_last, settings
        self._clock, self._chance = clock, chance
        self._task = BackgroundTask()
        self._well = 0

    def __repr__(self) -> str:
        return f"<Prober of {self._ejection!r}, {'idle' if self.is_idle else 'checking'}>"

    @property
    def is_idle(self) -> bool:
        """Whether it checks nothing now."""
        return self._task.is_idle

    def start(self) -> None:
        """Begin to check, unless it does already."""
        self._task.start(self._run)

    async def aclose(self) -> None:
        """Check no more."""
        await self._task.aclose()

    async def _run(self) -> None:
        began = self._clock.now()
        self._well = 0
        while self._ejection.is_open:
            await self._until_due(began)
            began = self._clock.now()
            if self._ejection.is_open:
                self._judge(await verdict_of(self._check, self._settings.timeout_s, self._ejection.endpoint))

    async def _until_due(self, began: float) -> None:
        wait_s = self._ejection.wait_s()
        least_s = jittered_s(self._settings.unhealthy_interval_s, self._chance)
        while True:
            if self._is_last():
                due = began + min(wait_s, least_s)
            else:
                due = max(began + (least_s if self._well else wait_s), self._ejection.held_until)
            left_s = due - self._clock.now()
            if left_s <= 0 or not self._ejection.is_open:
                return
            # In pieces: it may become the last one while it waits.
            await self._clock.sleep(min(left_s, least_s))

    def _judge(self, verdict: Verdict) -> None:
        if verdict.ours:
            return
        if verdict.why is None:
            self._well += 1
            if self._well >= self._settings.healthy_threshold:
                self._ejection.let_in()
        else:
            self._well = 0
            offers_trial = verdict.why.answered and self._is_last()
            self._ejection.stays_out(verdict.why, offers_trial=offers_trial)
