"""Asking an endpoint that is out whether it is back, so that no client's request has to find out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.core.clock import Chance, Clock
from gateway.core.errors import Why
from gateway.core.verdict import Verdict
from resilience.ejection import Ejection
from resilience.settings import HealthCheckSettings

_log = logging.getLogger("edgeway.breaker")

_LEAST: Final = 0.4


Check = Callable[[], Awaitable[Verdict]]


class Prober:
    """Checks the health of one endpoint while its circuit is open; there is a task only then.

    The first check comes after the base ejection time, the next ones twice as late each time, with jitter,
    at the longest ``longest_s``. While no other endpoint can take the requests they are never more than
    ``unhealthy_interval_s`` apart, counted from one beginning to the next, and one whose answer is late does
    not hold the next up for longer than its own ``timeout_s``.

    Where nobody answers a check, no call is let through: it would only wait. Where somebody does and says
    that it is not ready, nobody else is there, and a server may serve while it says so: then one call is let
    through after each check.

    Args:
        ejection: the circuit.
        check: asks the endpoint; it must end in bounded time.
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
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Prober of {self._ejection!r}, {'asking' if self._task else 'idle'}>"

    @property
    def is_idle(self) -> bool:
        """Whether there is no task."""
        return self._task is None

    def start(self) -> None:
        """Begin to ask, unless it does already."""
        if self._task is None and not self._closed:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def aclose(self) -> None:
        """Ask no more."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            began = self._clock.now()
            while self._ejection.is_open:
                await self._until_due(began)
                began = self._clock.now()
                if self._ejection.is_open:
                    self._judge(await self._ask())
        finally:
            self._task = None

    async def _until_due(self, began: float) -> None:
        wait_s = self._ejection.wait_s()
        least_s = self._chance.uniform(_LEAST, 1.0) * self._settings.unhealthy_interval_s
        while True:
            due = began + (min(wait_s, least_s) if self._is_last() else wait_s)
            left_s = due - self._clock.now()
            if left_s <= 0 or not self._ejection.is_open:
                return
            # In pieces: it may become the last one while it waits.
            await self._clock.sleep(min(left_s, least_s))

    async def _ask(self) -> Verdict:
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                return await self._check()
        except TimeoutError:
            return Verdict(Why("timeout"))
        except Exception:  # noqa: BLE001 - whatever it is, it is ours; the next check may know
            _log.exception("the health of %s could not be checked", self._ejection.endpoint)
            return Verdict(ours=True)

    def _judge(self, verdict: Verdict) -> None:
        if verdict.ours:
            return
        if verdict.why is None:
            self._ejection.let_in()
        else:
            offers_trial = verdict.why.answered and self._is_last()
            self._ejection.stays_out(verdict.why, offers_trial=offers_trial)
