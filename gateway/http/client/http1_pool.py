"""The HTTP/1.1 connections to one endpoint: opened when needed, used again, never more than agreed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gateway.core.tensor import Buffer
from gateway.http.client.backoff import Backoff
from gateway.http.client.dialer import Dialer, UnreachableError
from gateway.http.client.evidence import Evidence, note_answer
from gateway.http.client.http1_connection import ConnectionLostError, Http1ClientConnection
from gateway.http.client.shortage import lack
from gateway.http.client.waiting import WaitingCalls
from gateway.http.framing.http1_client import COMMON_NAMES, Http1Response, ResponseReader

_UNLIMITED: Final = 1 << 30
_OUT_OF_SERVICE: Final = frozenset({502, 503})
_SAYS_NOTHING: Final = frozenset({504})
"""It may have been the caller's own time that was up there."""


class Http1Pool:
    """Hands requests to idle connections, newest first, and opens more while they are too few.

    After a failure to connect no connection is tried for as long as ``backoff`` says, then one is; each that
    opens doubles how many may be opened at a time (slow start).

    Args:
        dialer: opens connections.
        backoff: spaces attempts to connect.
        connections: at most so many, 0 for no limit; requests beyond them wait in order.
        keepalive_s: seconds that an idle connection is kept.
        is_overload: whether status and headers say that the peer works and has enough to do.
        max_head_bytes: of an answer.
        max_body_bytes: of an answer.
        names: of headers that answers are expected to have, as ``ResponseReader`` takes them.
    """

    def __init__(
        self,
        dialer: Dialer,
        backoff: Backoff,
        *,
        connections: int,
        keepalive_s: float,
        is_overload: Callable[[int, Mapping[str, str]], bool],
        max_head_bytes: int,
        max_body_bytes: int,
        names: Mapping[bytes, str] = COMMON_NAMES,
    ) -> None:
        self.dialer, self._backoff, self._keepalive_s = dialer, backoff, keepalive_s
        self._is_overload = is_overload
        self._limit = connections or _UNLIMITED
        self._max_head_bytes, self._max_body_bytes, self._names = max_head_bytes, max_body_bytes, names
        self._loop = asyncio.get_running_loop()
        self._open: set[Http1ClientConnection] = set()
        self._idle: deque[Http1ClientConnection] = deque()
        self._dials: set[asyncio.Task[None]] = set()
        self._dialing = 0
        self._dials_at_once = self._limit
        self._waiting: WaitingCalls[Http1ClientConnection] = WaitingCalls(self._loop)
        self._sweep: asyncio.TimerHandle | None = None
        self._problem: BaseException | None = None
        self._given_up = ""
        self._closed = False

    def __repr__(self) -> str:
        return (
            f"<Http1Pool {len(self._open)} open, {len(self._idle)} idle, {self._dialing} opening, "
            f"{len(self._waiting)} waiting>"
        )

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._open)

    @property
    def idle(self) -> int:
        """How many of them carry no request."""
        return len(self._idle)

    @property
    def opening(self) -> int:
        """How many connections are being opened."""
        return self._dialing

    @property
    def waiting(self) -> int:
        """How many calls wait for a connection."""
        return len(self._waiting)

    async def call(self, verb: str, head: bytes, body: Sequence[Buffer], size: int) -> Http1Response:
        """Send a request and return its answer; cancelling closes its connection, and only that.

        A connection that ended while it was idle may not be known to have; a request that was lost on
        one, and of which the peer took no byte, is sent once more on a new connection.

        Raises:
            UnreachableError: it was not sent.
            ConnectionLostError: it was, and no answer came.
            FramingError: what came is no answer.
        """
        again = False
        while True:
            # On the path of every call: no task, no timer, one future.
            connection = self._idle.pop() if self._idle and not again else await self._acquire()
            pending = connection.send(verb, head, body, size)
            try:
                answer = await pending
            except asyncio.CancelledError:
                # The answer may have come in the same moment: then the connection carries another request.
                if pending.cancelled():
                    self._given_up = connection.address
                    connection.close()
                raise
            except ConnectionLostError as error:
                if not error.untouched:
                    self.dialer.addresses.failed(connection.address)
                if again or self._closed or not error.untouched:
                    raise
                again = True
            else:
                self._note(connection, answer)
                return answer

    def hurry(self) -> None:
        """Connect at once when the next call comes: the endpoint is there."""
        self._backoff.succeeded()

    def renew(self) -> None:
        """Send nothing more over the connections that are open; calls under way go on."""
        self._part_with(list(self._open))

    def move(self) -> bool:
        """Leave the addresses in use for others; return whether there are some worth trying."""
        used = [self._given_up, *(each.address for each in self._open)]
        if not self.dialer.addresses.leave(used):
            return False
        self.renew()
        return True

    async def refresh(self) -> None:
        """Look the name up again, and leave the addresses that it has no longer."""
        addresses = self.dialer.addresses
        await addresses.resolve()
        self._part_with([each for each in self._open if each.address not in addresses])

    async def aclose(self) -> None:
        """Close every connection; calls under way fail."""
        self._closed = True
        for dial in self._dials:
            dial.cancel()
        self.dialer.close()
        self._waiting.refuse(self._problem)
        for connection in list(self._open):
            connection.close()
        if self._sweep is not None:
            self._sweep.cancel()
        await asyncio.gather(*self._dials, return_exceptions=True)

    async def _acquire(self) -> Http1ClientConnection:
        ended: Exception | None = None
        while not self._closed:
            waiting = self._waiting.add()
            self._open_more()
            try:
                connection = await waiting
            except asyncio.CancelledError:
                if (given := self._waiting.abandon(waiting)) is not None:
                    self._release(given)
                raise
            if connection.is_open:
                return connection
            if ended is not None:
                # It takes connections, and ends them at once: so does one that wants a certificate (TLS 1.3).
                self._failed(ended)
                raise UnreachableError from ended
            ended = connection.ended
        raise UnreachableError

    def _part_with(self, connections: list[Http1ClientConnection]) -> None:
        for connection in connections:
            connection.is_wanted = False
            if connection in self._idle:
                connection.close()

    def _note(self, connection: Http1ClientConnection, answer: Http1Response) -> None:
        if self._is_overload(answer.status, answer.headers) or answer.status in _SAYS_NOTHING:
            evidence = Evidence.NONE
        else:
            evidence = Evidence.FAILS if answer.status in _OUT_OF_SERVICE else Evidence.WORKS
        self._part_with(note_answer(self.dialer.addresses, connection, evidence, self._open))

    def _open_more(self) -> None:
        room = min(
            self._limit - len(self._open) - self._dialing,
            self._dials_at_once - self._dialing,
            len(self._waiting) - self._dialing,
        )
        if room > 0 and self._backoff.holds(self._loop.time()):
            if not self._open:
                self._waiting.refuse(self._problem)
            return
        for _ in range(room):
            self._dialing += 1
            dial = self._loop.create_task(self._dial())
            self._dials.add(dial)
            dial.add_done_callback(self._dials.discard)

    async def _dial(self) -> None:
        try:
            connection = await self.dialer.dial(self._make)
        except OSError as error:
            self._failed(error)
            return
        finally:
            self._dialing -= 1
        if self._closed:
            connection.close()
        elif not connection.is_open:
            # The peer took it and dropped it in one moment.
            self._failed()
        else:
            self._backoff.succeeded()
            self._problem = None
            self._dials_at_once = min(2 * self._dials_at_once, self._limit)
            self._open.add(connection)
            self._release(connection)
            self._open_more()

    def _failed(self, error: Exception | None = None) -> None:
        self._dials_at_once = 1
        self._problem = error
        if lack(error) is None:
            self._backoff.failed(self._loop.time())
        self._waiting.refuse(self._problem)

    def _make(self) -> Http1ClientConnection:
        reader = ResponseReader(
            max_head_bytes=self._max_head_bytes, max_body_bytes=self._max_body_bytes, names=self._names
        )
        return Http1ClientConnection(reader, self._release, self._drop)

    def _release(self, connection: Http1ClientConnection) -> None:
        if not connection.is_open:
            return
        if self._waiting.give(connection):
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(self._keepalive_s, self._close_idle)

    def _drop(self, connection: Http1ClientConnection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._waiting and not self._closed:
            self._open_more()

    def _close_idle(self) -> None:
        self._sweep = None
        now = self._loop.time()
        # The newest is used first, so the oldest is at the other end.
        while self._idle and self._idle[0].idle_since + self._keepalive_s <= now + 0.001:
            self._idle.popleft().close()
        if self._idle:
            ends = self._idle[0].idle_since + self._keepalive_s
            self._sweep = self._loop.call_at(ends, self._close_idle)
