"""One HTTP/2 connection to an upstream: many calls at once, one future each, one timer for all of them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec

from gateway.core.tensor import Buffer
from gateway.http.client.addresses import address_of
from gateway.http.client.handshake import EndedAtOnceError, NoProtocolError
from gateway.http.framing.errors import AnswerTooLargeError, FramingError
from gateway.http.framing.http2_client import (
    ENHANCE_YOUR_CALM,
    REFUSED,
    AnswerRefused,
    AnswerTooLarge,
    ClosingError,
    Header,
    Http2Client,
    Http2Response,
    Outcome,
)

_BEAT_S: Final = 0.05
"""Interval in which deadlines and pings are checked while calls run, with one timer for all of them."""

_WRITE_BYTES: Final = 1 << 18
_NOT_HTTP2: Final = frozenset({None, "http/1.1", "http/1.0"})
_PINGS_IN_SILENCE: Final = 2
_PATIENT_S: Final = 300.0
"""Servers with gRPC's defaults close connections that are pinged more than twice within five minutes in
which they send nothing themselves."""


class LostError(Exception):
    """The connection ended, and the peer may or may not have done what the call wanted.

    ``reason``: why, in one word.
    """

    def __init__(self, reason: str = "reset") -> None:
        super().__init__(reason)
        self.reason = reason


class NotProcessedError(Exception):
    """The peer did nothing about the call: it refused the stream, or went away before it."""


class ResetError(Exception):
    """The peer ended the stream with an error ``code`` of HTTP/2 and no answer."""

    def __init__(self, code: int) -> None:
        super().__init__(f"reset with code {code}")
        self.code = code


class AnswerRefusedError(Exception):
    """The answer has come, and this side refused it: its headers, or its length, are not as HTTP/2 has them.

    Other calls of the connection are not affected. What the peer did about this one is done.
    """

    def __init__(self) -> None:
        super().__init__(
            "HTTP/2 does not allow its headers (RFC 9113, 8.2), or its length is not the one it announced"
        )


class LateError(Exception):
    """The call's own time limit was reached."""


class Limits(msgspec.Struct, frozen=True):
    """The limits of a connection.

    It has ``streams`` calls at most. While calls run, a peer that sends nothing for ``keepalive_s`` seconds
    is pinged; without a byte in the next ``keepalive_timeout_s`` seconds the connection counts as lost.
    """

    streams: int
    keepalive_s: float
    keepalive_timeout_s: float


class Http2ClientOwner(Protocol):
    """The pool that gives calls to a connection."""

    def freed(self, connection: Http2ClientConnection) -> None:
        """The connection has room, or nothing to do."""
        ...

    def retired(self, connection: Http2ClientConnection) -> None:
        """The connection takes no more calls; those under way go on. Called once."""
        ...

    def ended(self, connection: Http2ClientConnection) -> None:
        """The connection is gone, and its last calls with it."""
        ...


class Http2ClientConnection(asyncio.Protocol):
    """Sends calls, and resolves their futures when their answers are whole."""

    def __init__(self, client: Http2Client, limits: Limits, owner: Http2ClientOwner) -> None:
        self.client, self._limits, self._owner = client, limits, owner
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._calls: dict[int, tuple[asyncio.Future[Http2Response], float]] = {}
        self._beat: asyncio.TimerHandle | None = None
        self._is_writable = True
        self._is_tls = False
        self._heard = self._pinged = 0.0
        self._is_probing = False
        self._pings = 0
        self.is_usable = True
        self.address = ""
        """The peer's IP address; empty when it is not known."""
        self.promised = 0
        """Calls for which a stream is reserved and that have not begun yet."""
        self.ready: asyncio.Future[None] = self._loop.create_future()
        """Resolved when the peer's SETTINGS have come."""
        self.idle_since = self._loop.time()

    def __repr__(self) -> str:
        state = "open" if self.is_usable else "leaving" if self._calls else "closed"
        return f"<Http2ClientConnection {state}, {len(self._calls)} running>"

    @property
    def has_room(self) -> bool:
        """Whether another call may begin now."""
        running = len(self._calls) + self.promised
        return self.is_usable and running < self.client.max_streams and running < self._limits.streams

    @property
    def running(self) -> int:
        """Calls under way."""
        return len(self._calls)

    @property
    def was_too_lively(self) -> bool:
        """Whether the peer went away because it was pinged too often."""
        return self.client.goaway_code == ENHANCE_YOUR_CALM

    def send(
        self, headers: list[Header], body: Sequence[Buffer], ends: float
    ) -> tuple[int, asyncio.Future[Http2Response]]:
        """Begin a call that may take until ``ends``, loop time in seconds.

        The future fails with one of this module's errors or FramingError. Whoever stops waiting for
        it calls ``cancel`` with the number.

        Raises:
            NotProcessedError: the connection takes no more calls.
        """
        try:
            number = self.client.request(headers, body)
        except ClosingError as error:
            self._retire()
            raise NotProcessedError from error
        answer: asyncio.Future[Http2Response] = self._loop.create_future()
        if self._beat is None:
            self._heard = self._loop.time()
            self._beat = self._loop.call_later(_BEAT_S, self._look_after)
        self._calls[number] = (answer, ends)
        self._flush()
        return number, answer

    def cancel(self, number: int) -> None:
        """End a call whose answer is not needed any more, on the other side too."""
        if self._calls.pop(number, None) is not None:
            self.client.cancel(number)
            self._flush()
            self._freed()

    def retire(self) -> None:
        """Take no more calls; those under way go on."""
        self._retire()
        if not self._calls:
            self.close()

    def close(self) -> None:
        """Send GOAWAY and end the connection; calls under way fail with LostError."""
        if self._transport is not None and not self._transport.is_closing():
            self.client.shut()
            self._flush()
            self._transport.close()
        self._end(LostError())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, and send the preface; over TLS only to a peer that agreed to HTTP/2."""
        self._transport = transport
        self.address = address_of(transport)
        tls = transport.get_extra_info("ssl_object")
        self._is_tls = tls is not None
        if tls is not None and tls.selected_alpn_protocol() in _NOT_HTTP2:
            self._fail(NoProtocolError())
            return
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take bytes of the peer."""
        client = self.client
        room = client.max_streams
        try:
            ended = client.feed(data)
        except FramingError as error:
            self._fail(error)
            return
        self._heard = self._loop.time()
        for number, outcome in ended:
            self._resolve(number, outcome)
        if client.is_ready and not self.ready.done():
            self.ready.set_result(None)
        if client.is_closing:
            self._retire()
        if self._flush():
            # A stream that is refused here is over when that has been sent.
            refused = client.feed(b"")
            for number, outcome in refused:
                self._resolve(number, outcome)
            ended += refused
        if client.is_over:
            self._fail(LostError())
        elif ended or client.max_streams != room:
            self._pings = 0
            self._freed()

    def pause_writing(self) -> None:
        """Take no more frames from the client: the socket is full."""
        self._is_writable = False

    def resume_writing(self) -> None:
        """Write what the client has queued: the socket takes bytes again."""
        self._is_writable = True
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        """Take the end of the connection."""
        lost = LostError()
        is_early = not (self.client.is_ready or isinstance(error, ssl.SSLError))
        lost.__cause__ = EndedAtOnceError() if is_early and self._is_tls else error
        self._end(lost)

    def _flush(self) -> bool:
        """Write what the client has queued; return whether that was anything."""
        has_written = False
        try:
            while self._is_writable and (data := self.client.output(_WRITE_BYTES)):
                self._transport.write(data)
                has_written = True
                if len(data) < _WRITE_BYTES // 2:
                    # Frames have 16 KiB at most, so another would have had room: that was all.
                    break
        except FramingError as error:
            self._fail(error)
        return has_written

    def _resolve(self, number: int, outcome: Outcome) -> None:
        call = self._calls.pop(number, None)
        if call is None or call[0].done():
            return
        if isinstance(outcome, Http2Response):
            call[0].set_result(outcome)
        elif isinstance(outcome, AnswerTooLarge):
            call[0].set_exception(AnswerTooLargeError())
        elif isinstance(outcome, AnswerRefused):
            call[0].set_exception(AnswerRefusedError())
        elif outcome.code == REFUSED:
            call[0].set_exception(NotProcessedError())
        else:
            call[0].set_exception(ResetError(outcome.code))

    def _freed(self) -> None:
        if not self._calls:
            self.idle_since = self._loop.time()
            if not self.is_usable:
                self.close()
                return
        self._owner.freed(self)

    def _look_after(self) -> None:
        self._beat = None
        now = self._loop.time()
        for number, (answer, ends) in list(self._calls.items()):
            if ends <= now:
                if not answer.done():
                    answer.set_exception(LateError())
                self.cancel(number)
        if self._calls and self._is_alive(now):
            self._beat = self._loop.call_later(_BEAT_S, self._look_after)

    def _is_alive(self, now: float) -> bool:
        if self._is_probing:
            # Any byte is as good a sign of life as the answer to the ping.
            self._is_probing = self._heard < self._pinged
            if self._is_probing and now - self._pinged > self._limits.keepalive_timeout_s:
                self._fail(LostError("timeout"))
                return False
            return True
        wait_s = self._limits.keepalive_s if self._pings < _PINGS_IN_SILENCE else _PATIENT_S
        if now - max(self._heard, self._pinged) >= wait_s:
            self._is_probing, self._pinged = True, now
            self._pings += 1
            self.client.ping()
            self._flush()
        return True

    def _retire(self) -> None:
        if self.is_usable:
            self.is_usable = False
            self._owner.retired(self)

    def _fail(self, error: Exception) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._end(error)

    def _end(self, error: Exception) -> None:
        self._retire()
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
        if not self.ready.done():
            self.ready.set_exception(error)
            # Looked at here, so that asyncio does not report it where it is not awaited.
            self.ready.exception()
        calls, self._calls = self._calls, {}
        for answer, _ in calls.values():
            if not answer.done():
                answer.set_exception(error)
        self._owner.ended(self)
