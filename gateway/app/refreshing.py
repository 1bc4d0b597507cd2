"""Periodic DNS look-ups of an endpoint that is in use."""

from __future__ import annotations

import logging
from typing import Protocol

from gateway.core.clock import Clock
from resilience.health_check import BackgroundTask

_log = logging.getLogger("edgeway.upstreams")


class Refreshable(Protocol):
    """An upstream with connections to a host name."""

    async def refresh(self) -> None:
        """Look the name up again, and leave addresses that it does not resolve to any more."""
        ...


class Refresher:
    """Has ``target`` refreshed every ``interval_s`` seconds, from ``start`` to ``aclose``."""

    def __init__(self, target: Refreshable, interval_s: float, clock: Clock) -> None:
        self._target, self._interval_s, self._clock = target, interval_s, clock
        self._task = BackgroundTask()

    def __repr__(self) -> str:
        return f"<Refresher every {self._interval_s:g} s, {'stopped' if self._task.is_idle else 'running'}>"

    def start(self) -> None:
        """Start the periodic refresh, unless it runs."""
        self._task.start(self._run)

    async def aclose(self) -> None:
        """Stop refreshing."""
        await self._task.aclose()

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(self._interval_s)
            try:
                await self._target.refresh()
            except OSError as error:
                _log.debug("a name could not be looked up again: %s", error)
            except Exception:  # noqa: BLE001 - whatever it is, requests go on, and the next time may be better
                _log.exception("an endpoint could not be looked after")
