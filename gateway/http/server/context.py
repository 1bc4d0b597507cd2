"""What all connections of a listener share, and one sweep for all their timers."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from gateway.core.clock import Clock
from gateway.http.exchange import Answer, AnyAnswer, Application, Head, StreamedAnswer
from gateway.http.request_ids import RequestIds, no_id
from gateway.http.server.address_limits import AddressLimits
from gateway.http.server.date import DateClock
from gateway.http.server.drain import ConnectionDrain
from gateway.http.server.ended_peers import EndedPeers
from gateway.http.server.registry import ConnectionRegistry
from gateway.http.server.response_heads import HeadRenderer
from gateway.http.server.settings import TransportSettings
from gateway.http.server.source_closing import SourceCloser
from gateway.http.server.turn_queue import TurnQueue
from gateway.http.server.write_coalescing import Output, WriteCoalescer

SWEEP_S: Final = 0.25
"""How late an exceeded time limit may be noticed. One check of all connections is cheaper than a timer for
each request: on a cache hit a timer would cost as much as parsing the request."""

_log = logging.getLogger(__name__)

_FEW: Final = 2
"""Up to this many connections write at once: collecting so few writes saves nothing."""

EMPTY_ERROR: Final = Answer(500, close=True)
"""What a client gets where nothing else can be rendered."""


class ServerContext:
    """The shared parts, each of them a module.

    ``running``: requests that are complete and not answered. ``ended``: why peers were ended.
    ``make_request_id``: returns an id for the answer to a request without one; empty where none are made.
    ``turns``: who has sent much at once. ``tick``: the clock's fine timer. ``fallback``: the answer where the
    application fails to render a refusal. ``address_limits``: those of several listeners together; None: of
    this one alone.
    """

    def __init__(
        self,
        application: Application,
        settings: TransportSettings,
        clock: Clock,
        fallback: Answer = EMPTY_ERROR,
        *,
        address_limits: AddressLimits | None = None,
    ) -> None:
        self.application, self.settings = application, settings
        self.loop = asyncio.get_running_loop()
        self.registry = ConnectionRegistry()
        self.drain = ConnectionDrain(self.registry)
        self.address_limits = address_limits or AddressLimits(settings)
        self.date = DateClock(clock)
        self.response_heads = HeadRenderer(self.date)
        self.sources = SourceCloser(self.loop)
        self.ended = EndedPeers()
        self.tick, self.turns = clock.tick, TurnQueue(self.loop, clock.tick)
        self.make_request_id = RequestIds().make if settings.generate_request_id else no_id
        self.running = 0
        self._fallback = fallback
        self._coalescer = WriteCoalescer(self.loop)
        self._sweeping = asyncio.create_task(self._sweep())

    def __repr__(self) -> str:
        state = "draining" if self.drain.is_active else "open"
        return (
            f"<ServerContext {state}, {len(self.registry)} connections, {self.running} running,"
            f" {self.address_limits.buffered} bytes buffered>"
        )

    def flush_soon(self, output: Output) -> None:
        """Flush ``output`` in this turn of the loop: at once while there are only a few connections."""
        if len(self.registry) <= _FEW:
            output.flush()
        else:
            self._coalescer.add(output)

    def refusal(self, head: Head | None, status: int, message: str) -> Answer:
        """Return the application's refusal, or the fallback where the application fails to render one."""
        try:
            return self.application.refuse(head, status, message)
        except Exception:  # noqa: BLE001 - the client gets an answer, the log the traceback
            _log.exception("a refusal could not be rendered")
            return self._fallback

    def discard(self, answer: AnyAnswer) -> None:
        """Release what an answer holds that is over, or that cannot be sent any more."""
        if isinstance(answer, StreamedAnswer):
            self.sources.close(answer.source)

    async def aclose(self) -> None:
        """End every connection and the sweep."""
        self.registry.abort()
        # One turn of the loop, in which the transports let go of their sockets.
        await asyncio.sleep(0)
        self._sweeping.cancel()
        await asyncio.gather(self._sweeping, return_exceptions=True)
        await self.sources.aclose()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            if self.date.update():
                self.response_heads.clear()
            now = self.loop.time()
            self.registry.sweep(now)
            self.ended.report(now)
