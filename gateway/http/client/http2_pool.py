"""The HTTP/2 connections to one endpoint: usually one, more while all of its streams are taken."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence

import msgspec

from gateway.core.eager import in_task
from gateway.core.tensor import Buffer
from gateway.http.client.backoff import Backoff
from gateway.http.client.dialer import Dialer, UnreachableError
from gateway.http.client.evidence import Evidence, note_answer
from gateway.http.client.http2_connection import (
    Http2ClientConnection,
    Http2ClientOwner,
    LateError,
    Limits,
    LostError,
    NotProcessedError,
)
from gateway.http.client.shortage import lack
from gateway.http.client.waiting import WaitingCalls
from gateway.http.framing.errors import FramingError
from gateway.http.framing.http2_client import Header, Http2Client, Http2Response


class Http2Pool:
    """Gives calls to the first connection that has a stream free, and opens others one at a time.

    A connection counts as open when the peer's SETTINGS have come. After a failure to open one none
    is tried for as long as ``backoff`` says.

    Args:
        dialer: opens connections.
        backoff: spaces attempts to connect.
        client: makes what speaks HTTP/2 on a new connection.
        limits: of each connection.
        evidence_of: what an answer shows about the endpoint behind its address.
        connections: at most so many; calls beyond their streams wait in order.
        settings_timeout_s: seconds from TCP to the peer's SETTINGS.
        idle_s: seconds that a connection without calls is kept.
    """

    def __init__(
        self,
        dialer: Dialer,
        backoff: Backoff,
        client: Callable[[], Http2Client],
        limits: Limits,
        *,
        evidence_of: Callable[[Http2Response], Evidence],
        connections: int,
        settings_timeout_s: float,
        idle_s: float,
    ) -> None:
        self._dialer, self._backoff, self._client, self.limits = dialer, backoff, client, limits
        self._evidence_of = evidence_of
        self._limit, self._settings_timeout_s, self._idle_s = connections, settings_timeout_s, idle_s
        self._loop = asyncio.get_running_loop()
        self._open: list[Http2ClientConnection] = []
        self._leaving: set[Http2ClientConnection] = set()
        self._dial: asyncio.Task[None] | None = None
        self._waiting: WaitingCalls[Http2ClientConnection] = WaitingCalls(self._loop)
        self._sweep: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None
        self._problem: BaseException | None = None
        self._closed = False

    def __repr__(self) -> str:
        return (
            f"<Http2Pool {len(self._open)} open, {len(self._leaving)} leaving, {self.running} running, "
            f"{len(self._waiting)} waiting>"
        )

    @property
    def open(self) -> tuple[Http2ClientConnection, ...]:
        """The connections that take calls."""
        return tuple(self._open)

    @property
    def leaving(self) -> int:
        """How many connections take no more calls, and have not ended."""
        return len(self._leaving)

    @property
    def running(self) -> int:
        """Calls under way."""
        return sum(connection.running for connection in (*self._open, *self._leaving))

    async def call(self, headers: list[Header], body: Sequence[Buffer], ends: float) -> Http2Response:
        """Make a call that may take until ``ends`` (loop time, seconds); cancelling it resets its stream.

        A call that the peer refused without processing it is made once more.

        Raises:
            UnreachableError: it was not sent.
            LateError: its time was up first.
            NotProcessedError: the peer refused it, twice.
            LostError, ResetError, AnswerRefusedError, AnswerTooLargeError, FramingError: it was sent, and
                has no answer.
        """
        again = False
        while True:
            # On the path of every call: no task, no timer, one future.
            for connection in self._open:
                if connection.has_room:
                    break
            else:
                connection = await self._acquire(ends)
            try:
                number, answer = connection.send(headers, body, ends)
                try:
                    response = await answer
                except asyncio.CancelledError:
                    connection.cancel(number)
                    raise
                self._note(connection, response)
                return response
            except LostError:
                self._dialer.addresses.failed(connection.address)
                raise
            except NotProcessedError:
                if again or self._closed:
                    raise
                again = True

    def hurry(self) -> None:
        """Connect at once when the next call comes: the endpoint is there."""
        self._backoff.succeeded()

    def renew(self) -> None:
        """Send nothing more over the connections that are open; calls under way go on."""
        for connection in list(self._open):
            connection.retire()

    def move(self) -> bool:
        """Leave the addresses in use for others; return whether there are some worth trying."""
        if not self._dialer.addresses.leave(each.address for each in self._open):
            return False
        self.renew()
        return True

    async def refresh(self) -> None:
        """Look the name up again, and leave the addresses that it has no longer."""
        addresses = self._dialer.addresses
        await addresses.resolve()
        for connection in list(self._open):
            if connection.address not in addresses:
                connection.retire()

    async def aclose(self, grace_s: float | None = None) -> None:
        """Take no more calls; those under way get ``grace_s`` seconds to end, then they fail."""
        self._closed = True
        if self._dial is not None:
            self._dial.cancel()
            await asyncio.wait([self._dial])
        self._dialer.close()
        self._waiting.refuse(self._problem)
        if grace_s and self.running:
            self._drained = self._loop.create_future()
            await asyncio.wait([self._drained], timeout=grace_s)
        for connection in (*self._open, *self._leaving):
            connection.close()
        if self._sweep is not None:
            self._sweep.cancel()

    def freed(self, connection: Http2ClientConnection) -> None:
        """Give the connection's room to those who wait; see to it that idle connections are closed."""
        if self._waiting:
            self._hand_out()
        if not connection.running and self._sweep is None and not self._closed:
            self._sweep = self._loop.call_later(self._idle_s, self._close_idle)
        self._note_drained()

    def retired(self, connection: Http2ClientConnection) -> None:
        """Give the connection no more calls."""
        if connection.was_too_lively:
            self.limits = msgspec.structs.replace(self.limits, keepalive_s=2 * self.limits.keepalive_s)
        if connection in self._open:
            self._open.remove(connection)
            self._leaving.add(connection)
        if self._waiting:
            self._open_more()

    def ended(self, connection: Http2ClientConnection) -> None:
        """Forget the connection."""
        self._leaving.discard(connection)
        self._note_drained()

    async def _acquire(self, ends: float) -> Http2ClientConnection:
        await in_task()
        try:
            async with asyncio.timeout_at(None if ends == math.inf else ends):
                while not self._closed:
                    waiting = self._waiting.add()
                    self._open_more()
                    connection = await self._wait(waiting)
                    connection.promised -= 1
                    if connection.has_room:
                        return connection
        except TimeoutError:
            raise LateError from None
        raise UnreachableError

    async def _wait(self, waiting: asyncio.Future[Http2ClientConnection]) -> Http2ClientConnection:
        try:
            return await waiting
        except asyncio.CancelledError:
            if (given := self._waiting.abandon(waiting)) is not None:
                # The place on the connection that was reserved for this call goes to the next one.
                given.promised -= 1
                self._hand_out()
            raise

    def _hand_out(self) -> None:
        for connection in self._open:
            while self._waiting and connection.has_room:
                connection.promised += self._waiting.give(connection)
        if self._waiting:
            self._open_more()

    def _open_more(self) -> None:
        if self._closed or self._dial is not None or len(self._open) >= self._limit:
            return
        if self._backoff.holds(self._loop.time()):
            if not self._open:
                self._waiting.refuse(self._problem)
            return
        self._dial = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            connection = await self._dialer.dial(self._make)
            try:
                async with asyncio.timeout(self._settings_timeout_s):
                    await connection.ready
            except BaseException:
                # It took the connection, and sent no SETTINGS.
                self._dialer.addresses.failed(connection.address)
                connection.close()
                raise
        except (OSError, FramingError, LostError) as error:
            self._problem = error
            if lack(error) is None:
                self._backoff.failed(self._loop.time())
            self._waiting.refuse(self._problem)
            return
        finally:
            self._dial = None
        if not connection.is_usable:
            # Its SETTINGS came together with its GOAWAY.
            self._backoff.failed(self._loop.time())
            self._waiting.refuse(self._problem)
            return
        self._backoff.succeeded()
        self._problem = None
        self._open.append(connection)
        self.freed(connection)

    def _note(self, connection: Http2ClientConnection, answer: Http2Response) -> None:
        evidence = self._evidence_of(answer)
        for each in note_answer(self._dialer.addresses, connection, evidence, self._open):
            each.retire()

    def _make(self) -> Http2ClientConnection:
        return Http2ClientConnection(self._client(), self.limits, self)

    def _note_drained(self) -> None:
        if self._drained is not None and not self._drained.done() and not self.running:
            self._drained.set_result(None)

    def _close_idle(self) -> None:
        self._sweep = None
        now = self._loop.time()
        idle = [connection for connection in self._open if not connection.running + connection.promised]
        for connection in idle:
            if connection.idle_since + self._idle_s <= now + 0.001:
                connection.close()
        left = [connection.idle_since for connection in idle if connection.is_usable]
        if left:
            self._sweep = self._loop.call_at(min(left) + self._idle_s, self._close_idle)


_: type[Http2ClientOwner] = Http2Pool
