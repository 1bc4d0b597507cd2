"""What all connections of a listener share: limits, counts, the time of day, and one sweep for all timers."""

from __future__ import annotations

import asyncio
import logging
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, Protocol

from gateway.core.clock import Clock
from gateway.http.exchange import Answer, AnyAnswer, Application, Fields, Head, StreamedAnswer
from gateway.http.server.address_limits import AddressLimits, AddressUsage
from gateway.http.server.settings import TransportSettings
from gateway.http.server.source_closing import SourceCloser
from gateway.http.server.write_coalescing import Output, WriteCoalescer

SWEEP_S: Final = 0.25
"""How late a time limit may be noticed. One sweep over all connections is cheaper than a timer for each
request: a request that is answered out of memory would spend as much on its timer as on its parsing."""


_log = logging.getLogger(__name__)

_HEADS: Final = 256
_FEW: Final = 2
"""Connections whose answers cannot wake anybody together."""
_PLAIN: Final = Answer(
    500, Fields((b"content-type", b"application/json")), (b'{"error":"internal error"}',), close=True
)
_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_CLOSED: Final = b"HTTP/1.1 499 Client Closed Request\r\n"
"""nginx's number for a client that left, which has no phrase of its own."""


class Connection(Protocol):
    """A connection as the ledger knows it."""

    def sweep(self, now: float) -> None:
        """End what has taken too long at loop time ``now``."""
        ...

    def drain(self) -> None:
        """Take no new request; end when those under way are answered."""
        ...

    def abort(self) -> None:
        """End now."""
        ...


class ServerContext:
    """The books of one listener."""

    def __init__(self, application: Application, settings: TransportSettings, clock: Clock) -> None:
        self.application, self.settings, self.clock = application, settings, clock
        self.loop = asyncio.get_running_loop()
        self.connections: dict[Connection, AddressUsage] = {}
        """Each with the account in which it is counted: with PROXY protocol the client's."""
        self.running = 0
        """Requests that are complete and not answered."""
        self.accounts = AddressLimits(settings)
        self.is_draining = False
        self.date = b""
        self._heads: dict[tuple[int, Fields], bytes] = {}
        self._idle = asyncio.Event()
        self._outbox = WriteCoalescer(self.loop)
        self.sources = SourceCloser(self.loop)
        self._sweeping = asyncio.create_task(self._sweep())
        self._tell_time()

    def __repr__(self) -> str:
        state = "draining" if self.is_draining else "open"
        return (
            f"<ServerContext {state}, {len(self.connections)} connections, {self.running} running,"
            f" {self.accounts.buffered} bytes buffered>"
        )

    def enter(self, connection: Connection, account: AddressUsage) -> None:
        """Take a connection into the books; its account has counted it since it was accepted."""
        self.connections[connection] = account

    def leave(self, connection: Connection) -> None:
        """Strike a connection out; one that is not in them is none of ours."""
        account = self.connections.pop(connection, None)
        if account is None:
            return
        account.connections -= 1
        if not self.connections:
            self._idle.set()

    def move(self, old: Connection, new: Connection) -> None:
        """Let ``new`` stand for the connection that was ``old``."""
        self.connections[new] = self.connections.pop(old)

    def head(self, status: int, fields: Fields) -> bytes:
        """Return the beginning of an HTTP/1.1 answer: status line, Date and the shared fields.

        It is rendered once for as long as the time of day is the same.
        """
        key = (status, fields)
        found = self._heads.get(key)
        if found is None:
            if len(self._heads) >= _HEADS:
                self._heads.clear()
            line = _LINES.get(status, _CLOSED)
            found = self._heads[key] = b"%bdate: %b\r\nserver: edgeway\r\n%b" % (
                line,
                self.date,
                fields.lines,
            )
        return found

    def flush_soon(self, output: Output) -> None:
        """Flush ``output`` in this turn of the loop: at once while there are only a few connections."""
        if len(self.connections) <= _FEW:
            output.flush()
        else:
            self._outbox.add(output)

    def refusal(self, head: Head | None, status: int, message: str) -> Answer:
        """Return the application's refusal; of one that fails even at that, a plain one."""
        try:
            return self.application.refuse(head, status, message)
        except Exception:  # noqa: BLE001 - the client gets an answer, the log the traceback
            _log.exception("a refusal could not be rendered")
            return _PLAIN

    def discard(self, answer: AnyAnswer) -> None:
        """Release what an answer holds that nobody waits for any more."""
        if isinstance(answer, StreamedAnswer):
            self.sources.close(answer.source)

    def begin_drain(self) -> None:
        """Let every connection end as soon as it can."""
        self.is_draining = True
        for connection in list(self.connections):
            connection.drain()

    async def ended(self, until: float) -> bool:
        """Wait until there are no connections, at most until loop time ``until``; tell whether it came so."""
        self._idle.clear()
        if not self.connections:
            return True
        try:
            async with asyncio.timeout_at(until):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def aclose(self) -> None:
        """End every connection and the sweep."""
        for connection in list(self.connections):
            connection.abort()
        # One turn of the loop, in which the transports let go of their sockets.
        await asyncio.sleep(0)
        self._sweeping.cancel()
        await asyncio.gather(self._sweeping, return_exceptions=True)
        await self.sources.aclose()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self._tell_time()
            now = self.loop.time()
            for connection in list(self.connections):
                try:
                    connection.sweep(now)
                except Exception:  # noqa: BLE001 - one that fails must not switch off the limits of all
                    _log.exception("a connection could not be swept, and ends")
                    connection.abort()

    def _tell_time(self) -> None:
        date = formatdate(self.clock.wall(), usegmt=True).encode("ascii")
        if date != self.date:
            self.date = date
            self._heads.clear()
