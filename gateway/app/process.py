"""One gateway process: it serves until a signal, reloads on SIGHUP, and drains before it leaves.

``gateway.app.gateway.open_gateway`` opens everything. The one AsyncExitStack in ``serving`` owns every
lifetime: what was opened last is closed first, whatever fails.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from edge_models.errors import ModelError
from gateway.app.collector import freeze_what_stays
from gateway.app.descriptors import Descriptors, take
from gateway.app.errors import StartError
from gateway.app.gateway import Gateway, open_gateway
from gateway.app.workers.inheritance import Inheritance
from gateway.config.settings import Settings
from gateway.core.errors import GatewayError
from routing.geo import GeoError

_LOG: Final = logging.getLogger("edgeway")


class GatewayProcess:
    """One gateway, from settings to exit. ``run`` serves until a signal; tests use ``serving``."""

    def __init__(self, settings: Settings, inheritance: Inheritance | None = None) -> None:
        self.settings = settings
        self._inheritance = inheritance
        self._descriptors: Descriptors | None = None

    def __repr__(self) -> str:
        return f"<GatewayProcess {self.settings.role} {self.settings.region}>"

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain.

        Raises:
            StartError: before anything was served.
        """
        loop, stopping, hangup = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        # Before anything is opened: SIGHUP's default would end a process that is still loading models.
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        loop.add_signal_handler(signal.SIGHUP, hangup.set)
        if self._inheritance is not None:
            self._inheritance.watch_parent(loop, stopping.set)
        self._descriptors = take(self.settings)
        async with AsyncExitStack() as lifetimes:
            serves = asyncio.Event()
            if self._inheritance is not None:
                # It ends last: a process that drains and closes does not stand still.
                await lifetimes.enter_async_context(self._inheritance.beating(serves))
            gateway = await lifetimes.enter_async_context(self.serving())
            reloading = asyncio.create_task(reload_on(hangup, gateway.reload))
            freeze_what_stays()
            serves.set()
            await stopping.wait()
            _LOG.info("draining")
            # Not ready yet still serving: load balancers need a moment to notice.
            gateway.drain.begin()
            await gateway.clock.sleep(self.settings.resilience.drain.drain_time_s)
            if self._inheritance is None or self._inheritance.is_parent_leaving():
                # Nobody accepts connections after this process, or after those that leave with it.
                await gateway.servers.refuse_new()
            # Nothing comes into force while everything closes.
            reloading.cancel()
            await asyncio.gather(reloading, return_exceptions=True)
        _LOG.info("stopped")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Gateway]:
        """Open everything, serve while the block runs, then finish what was accepted and close.

        Raises:
            StartError: names what cannot be used.
        """
        async with AsyncExitStack() as lifetimes:
            try:
                gateway = await open_gateway(self.settings, self._inheritance, lifetimes, self._descriptors)
            except (ModelError, GeoError, GatewayError) as error:
                raise StartError(str(error)) from error
            _LOG.info(
                "%s %s is ready: %s",
                self.settings.role,
                self.settings.region,
                gateway.servers.addresses(),
            )
            yield gateway


async def reload_on(hangup: asyncio.Event, reload: Callable[[], Awaitable[object]]) -> None:
    """Reload after each SIGHUP; those that come during a reload are one more."""
    while True:
        await hangup.wait()
        hangup.clear()
        try:
            await reload()
        except Exception:  # noqa: BLE001 - it is in the log, and nothing depends on it
            # The next signal must find somebody who waits for it.
            _LOG.exception("the reload failed, what was in force stays")
