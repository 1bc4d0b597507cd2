"""One HTTP/1.1 connection to an upstream: one request at a time, one future per request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.core.tensor import Buffer
from gateway.http.client.addresses import address_of
from gateway.http.framing.errors import FramingError
from gateway.http.framing.http1_client import Http1Response, ResponseReader
from gateway.http.framing.large_body import SLICE_BYTES, slices
from gateway.http.tcp_info import bytes_acknowledged

_COPY_BYTES: Final = 1 << 16
"""Smaller requests are sent as one piece: copying them costs less than a list of buffers does."""


class ConnectionLostError(Exception):
    """The connection ended before the answer did.

    ``untouched``: the peer's kernel took no byte of the request, so nothing was done about it.
    """

    def __init__(self, *, untouched: bool = False) -> None:
        super().__init__("the connection was lost")
        self.untouched = untouched


class Http1ClientConnection(asyncio.Protocol):
    """Sends a request, and resolves its future when the answer is whole.

    Args:
        reader: reads this connection's answers.
        released: called when an answer has come and the connection may carry another request.
        lost: called once, when it cannot any more.
    """

    def __init__(
        self,
        reader: ResponseReader,
        released: Callable[[Http1ClientConnection], None],
        lost: Callable[[Http1ClientConnection], None],
    ) -> None:
        self._reader, self._released, self._lost = reader, released, lost
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._answer: asyncio.Future[Http1Response] | None = None
        self._sent_bytes = self._sent_before = 0
        self._unsent: list[Buffer] = []
        self._is_writable = True
        self.ended: Exception | None = None
        """Why it carries no more requests; None: it may."""
        self.idle_since = 0.0
        self.is_open = False
        self.address = ""
        """The peer's IP address; empty when it is not known."""
        self.is_wanted = True
        """Whether it may carry another request after this one."""

    def __repr__(self) -> str:
        state = "closed" if not self.is_open else "idle" if self._answer is None else "busy"
        return f"<Http1ClientConnection {state}, {self._sent_bytes} bytes out>"

    def send(
        self, verb: str, head: bytes, body: Sequence[Buffer], size: int
    ) -> asyncio.Future[Http1Response]:
        """Send a request of ``size`` bytes of body; nothing else may be under way.

        The future fails with ConnectionLostError or FramingError. Whoever stops waiting calls ``close``.
        """
        answer: asyncio.Future[Http1Response] = self._loop.create_future()
        self._answer = answer
        self._reader.begin(verb)
        self._sent_before = self._sent_bytes
        self._sent_bytes += len(head) + size
        if size <= _COPY_BYTES:
            self._transport.write(b"".join((head, *body)))
        elif size <= SLICE_BYTES:
            self._transport.writelines((head, *body))
        else:
            self._unsent = slices([head, *body])
            self._write()
        return answer

    def close(self) -> None:
        """End the connection now, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()
        self._end(ConnectionLostError())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; asyncio has turned Nagle's algorithm off."""
        self._transport = transport
        self.address = address_of(transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Take bytes of the peer."""
        try:
            answer = self._reader.feed(data)
        except FramingError as error:
            self._fail(error)
            return
        if answer is not None:
            self._resolve(answer)

    def pause_writing(self) -> None:
        """Write no more slices: the socket is full."""
        self._is_writable = False

    def resume_writing(self) -> None:
        """Write on: the socket takes bytes again."""
        self._is_writable = True
        self._write()

    def eof_received(self) -> bool:
        """Take the peer's end, with which some answers end."""
        if self._answer is None:
            self.close()
        elif self._reader.started:
            try:
                self._resolve(self._reader.end())
            except FramingError as error:
                self._fail(error)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Take the end of the connection; its cause may be TLS, of which a server may complain late."""
        lost = ConnectionLostError(untouched=self._is_untouched())
        lost.__cause__ = error
        self._end(lost)

    def _resolve(self, answer: Http1Response) -> None:
        waiting, self._answer = self._answer, None
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
        # An answer that came before all of its request was sent says how that one ended, but not where.
        if answer.reusable and self.is_open and self.is_wanted and not self._unsent:
            self._released(self)
        else:
            self.close()

    def _write(self) -> None:
        """Write slices of a large body while the socket takes them: all at once would be copied at once."""
        while self._unsent and self._is_writable and self.is_open:
            self._transport.write(self._unsent.pop())

    def _fail(self, error: FramingError) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._end(error)

    def _end(self, error: Exception) -> None:
        waiting, self._answer = self._answer, None
        self.ended = self.ended or error
        self._unsent = []
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)
        if self.is_open:
            self.is_open = False
            self._lost(self)

    def _is_untouched(self) -> bool:
        """Whether the peer's kernel acknowledged nothing of the request under way; False when unknown."""
        if self._answer is None or self._reader.started or not self._sent_before:
            return False
        transport = self._transport
        connection = transport.get_extra_info("socket")
        if connection is None or transport.get_extra_info("ssl_object") is not None:
            return False
        acknowledged = bytes_acknowledged(connection)
        return acknowledged is not None and acknowledged <= self._sent_before + 1
