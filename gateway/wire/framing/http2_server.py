"""HTTP/2 as its server speaks it, without any I/O: libnghttp2 (``ngh2``) keeps the protocol.

HPACK, flow control, the states of streams, the rules for pseudo-headers, CONTINUATION, resets and glitches
per second are libnghttp2's. What is left is to name the events, and to hold back the windows: bytes are
acknowledged when whoever reads them says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
import ngh2

from gateway.core.tensor import Buffer

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO_ERROR: Final = int(ngh2.ErrorCode.NO_ERROR)
INTERNAL_ERROR: Final = int(ngh2.ErrorCode.INTERNAL_ERROR)
CANCEL: Final = int(ngh2.ErrorCode.CANCEL)
REFUSED_STREAM: Final = int(ngh2.ErrorCode.REFUSED_STREAM)
ENHANCE_YOUR_CALM: Final = int(ngh2.ErrorCode.ENHANCE_YOUR_CALM)

Pair = tuple[bytes, bytes]
_HEADS: Final = 1024
_LONG: Final = 2048


class FramingError(Exception):
    """What came is no HTTP/2, or more of it than agreed. ``output`` still holds the GOAWAY that says so."""


class RequestHead(msgspec.Struct, frozen=True, gc=False):
    """A request's head; ``headers`` as in ``exchange.Head``, without the pseudo-headers."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    length: int | None


class Request(msgspec.Struct, frozen=True, gc=False):
    """A stream has begun. ``length`` of its body: None when it is not told."""

    stream: int
    head: RequestHead
    length: int | None
    is_complete: bool


class Data(msgspec.Struct, frozen=True, gc=False):
    """More of a stream's body."""

    stream: int
    data: bytes
    is_complete: bool


class Complete(msgspec.Struct, frozen=True, gc=False):
    """A stream's body has ended, by trailers."""

    stream: int


class Closed(msgspec.Struct, frozen=True, gc=False):
    """A stream is over; an ``error`` other than 0 before its answer was sent means that the peer left it."""

    stream: int
    error: int


Event = Request | Data | Complete | Closed


class Http2Server:
    """One connection. Whoever owns it moves bytes: ``feed`` takes the peer's, ``output`` gives ours."""

    def __init__(
        self,
        *,
        max_streams: int = 100,
        stream_window_bytes: int = 1 << 20,
        connection_window_bytes: int = 4 << 20,
        max_head_bytes: int = 60 << 10,
        max_headers: int = 100,
        max_continuations: int = 8,
        max_resets_per_s: int = 100,
    ) -> None:
        configuration = ngh2.Configuration(
            auto_window_update=False,
            max_inbound_header_list_size=max_head_bytes,
            max_inbound_header_count=max_headers,
            max_continuations=max_continuations,
            stream_reset_rate_limit=(10 * max_resets_per_s, max_resets_per_s),
            glitch_rate_limit=(1000, 100),
            max_outbound_ack=100,
        )
        self._connection = connection = ngh2.Connection(ngh2.Role.SERVER, configuration)
        connection.initiate_connection(
            {
                ngh2.Setting.MAX_CONCURRENT_STREAMS: max_streams,
                ngh2.Setting.INITIAL_WINDOW_SIZE: stream_window_bytes,
                ngh2.Setting.MAX_HEADER_LIST_SIZE: max_head_bytes,
            }
        )
        connection.set_local_window_size(connection_window_bytes)
        self.acknowledge = connection.acknowledge_received_data

    def __repr__(self) -> str:
        return f"<Http2Server {'over' if self.is_over else 'open'}>"

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be read; true only after ``output`` has been sent."""
        return not self._connection.want_read

    def feed(self, data: bytes) -> list[Event]:
        """Take a piece of the stream; return what it brings.

        Raises:
            FramingError: nothing after it can be read.
        """
        connection = self._connection
        try:
            connection.receive_data(data)
        except ngh2.NGH2Error as error:
            raise FramingError(str(error)) from None
        events: list[Event] = []
        # Any: mypy does not follow a comparison of types, which is what is quick here.
        event: Any
        for event in connection.events():
            kind = type(event)
            if kind is ngh2.DataReceived:
                events.append(Data(event.stream_id, event.data, event.end_stream))
            elif kind is ngh2.RequestReceived:
                events.append(_request(event.stream_id, event.headers, event.end_stream))
            elif kind is ngh2.StreamClosed:
                events.append(Closed(event.stream_id, event.error_code))
            elif kind is ngh2.TrailersReceived:
                events.append(Complete(event.stream_id))
        return events

    def output(self, most_bytes: int) -> bytes:
        """Return what may be sent now, as far as the peer's windows allow; empty when there is nothing."""
        try:
            return self._connection.data_to_send(most_bytes)
        except ngh2.NGH2Error as error:
            raise FramingError(str(error)) from None

    def answer(
        self, stream: int, headers: Sequence[Pair], body: Iterable[Buffer], trailers: Sequence[Pair]
    ) -> None:
        """Queue a whole answer; without a body, trailers are part of its only block of headers."""
        connection = self._connection
        parts = [part for part in body if part]
        try:
            if not parts:
                connection.send_response(stream, (*headers, *trailers), end_stream=True)
                return
            connection.send_response(stream, headers)
            for part in parts[:-1]:
                connection.send_data(stream, part)
            connection.send_data(stream, parts[-1], end_stream=not trailers)
            if trailers:
                connection.send_trailers(stream, trailers)
        except ngh2.NGH2Error:
            # The peer has left the stream, which its Closed event tells.
            return

    def begin(self, stream: int, headers: Sequence[Pair]) -> bool:
        """Queue the head of a streamed answer; false when the stream is over."""
        return self._did(lambda: self._connection.send_response(stream, headers))

    def more(self, stream: int, part: bytes) -> bool:
        """Queue a part of a streamed answer; false when the stream is over."""
        return self._did(lambda: self._connection.send_data(stream, part))

    def finish(self, stream: int, trailers: Sequence[Pair]) -> bool:
        """Queue the end of a streamed answer; false when the stream is over."""
        if trailers:
            return self._did(lambda: self._connection.send_trailers(stream, trailers))
        return self._did(lambda: self._connection.end_stream(stream))

    def reset(self, stream: int, error: int) -> None:
        """End a stream at once."""
        self._did(lambda: self._connection.reset_stream(stream, error))

    def queued(self, stream: int) -> int:
        """Return the bytes of a streamed answer that the peer's windows have not let out yet."""
        return self._connection.queued_body_size(stream)

    def announce_end(self) -> None:
        """Queue word that no more streams should be opened; those that cross with it are still taken."""
        self._did(self._connection.send_shutdown_notice)

    def end(self, error: int = NO_ERROR) -> None:
        """Queue the last word: no stream that comes after this is answered."""
        self._did(lambda: self._connection.send_goaway(error))

    def _did(self, act: object) -> bool:
        try:
            act()  # type: ignore[operator] # a call without arguments, whatever it returns
        except ngh2.NGH2Error:
            return False
        return True


def _request(stream: int, fields: Sequence[Pair], is_complete: bool) -> Request:  # noqa: FBT001 - as it comes
    known = tuple(fields)
    size = sum(len(value) for _, value in known)
    head = _remembered(known) if size <= _LONG else _head(known)
    return Request(stream, head, 0 if is_complete else head.length, is_complete)


def _head(fields: tuple[Pair, ...]) -> RequestHead:
    method = path = ""
    length: int | None = None
    headers = []
    for name, value in fields:
        text = value.decode("latin-1")
        if name[:1] != b":":
            headers.append((name.decode("latin-1"), text))
            if name == b"content-length":
                length = int(value)
        elif name == b":path":
            path = text
        elif name == b":method":
            method = text
        elif name == b":authority":
            headers.append(("host", text))
    return RequestHead(method, path, tuple(headers), length)


_remembered = lru_cache(_HEADS)(_head)
"""Clients say the same head again and again; it becomes the same object. The bounds keep a flood of invented
ones from growing this."""
