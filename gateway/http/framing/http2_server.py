"""HTTP/2 as its server speaks it, without any I/O: libnghttp2 (``ngh2``) keeps the protocol.

HPACK, flow control, the states of streams, the rules for pseudo-headers, CONTINUATION, resets and glitches
per second are libnghttp2's. This module names the events, refuses what HTTP/2 allows and this server does
not, and controls the windows: bytes are acknowledged when their reader allows it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import ngh2

from gateway.core.tensor import Buffer
from gateway.http.framing.errors import FramingError
from gateway.http.framing.hpack_blanks import unmarked
from gateway.http.framing.http2_blanks import Http2Blanks
from gateway.http.framing.large_body import SLICE_BYTES, slices

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO_ERROR: Final = int(ngh2.ErrorCode.NO_ERROR)
PROTOCOL_ERROR: Final = int(ngh2.ErrorCode.PROTOCOL_ERROR)
INTERNAL_ERROR: Final = int(ngh2.ErrorCode.INTERNAL_ERROR)
CANCEL: Final = int(ngh2.ErrorCode.CANCEL)
REFUSED_STREAM: Final = int(ngh2.ErrorCode.REFUSED_STREAM)
ENHANCE_YOUR_CALM: Final = int(ngh2.ErrorCode.ENHANCE_YOUR_CALM)

Pair = tuple[bytes, bytes]
_COPIED: Final = 16 << 10
"""The parts of bodies up to this size are joined: a copy costs less than a call for each part."""
_LONG: Final = 2048
_GOAWAY: Final = struct.Struct(">BHBBIII")
_FIELD: Final = 32
"""Bytes that RFC 9113 counts for each field in addition to its name and value."""

_BURST: Final = 2
"""Seconds' worth of resets that may come at once."""

_BEYOND: Final = 2
"""A head above its limits is refused in its own stream; other streams are not affected. A head that is so
many times above them ends the connection: libnghttp2 would have to decode all of it."""


class Http2RequestHead(msgspec.Struct, frozen=True, gc=False):
    """A request's head; ``headers`` as in ``exchange.Head``, without the pseudo-headers."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    length: int | None


class Http2Request(msgspec.Struct, frozen=True, gc=False):
    """A stream has begun.

    ``length``: of its body, None when it is not announced. ``size``: of its head, decoded.
    """

    stream: int
    head: Http2RequestHead
    length: int | None
    is_complete: bool
    size: int = 0


class HeadTooLarge(msgspec.Struct, frozen=True, gc=False):
    """A stream has begun with a head that is larger than agreed."""

    stream: int
    head: Http2RequestHead
    is_complete: bool


class BodyData(msgspec.Struct, frozen=True, gc=False):
    """More of a stream's body."""

    stream: int
    data: bytes
    is_complete: bool


class BodyEnd(msgspec.Struct, frozen=True, gc=False):
    """A stream's body has ended, by trailers."""

    stream: int


class StreamClosed(msgspec.Struct, frozen=True, gc=False):
    """A stream is over; an ``error`` other than 0 before its answer was sent means that the peer left it."""

    stream: int
    error: int


Http2Event = Http2Request | HeadTooLarge | BodyData | BodyEnd | StreamClosed


class Http2Server:
    """One connection. Whoever owns it moves bytes: ``feed`` takes the peer's, ``output`` gives ours.

    ``has_begun``: the peer has sent its preface, with the SETTINGS that belong to it. ``has_heard``: a frame
    has come to its end since this was set to False; of a head, the last one. ``is_within``: what came
    last brought no frame to its end.
    """

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
            max_inbound_header_list_size=_BEYOND * max_head_bytes,
            max_inbound_header_count=_BEYOND * max_headers,
            max_continuations=max_continuations,
            stream_reset_rate_limit=(_BURST * max_resets_per_s, max_resets_per_s),
            glitch_rate_limit=(1000, 100),
            max_outbound_ack=100,
        )
        self._max_head_bytes, self._max_headers = max_head_bytes, max_headers
        self._newest = 0
        self._blanks = Http2Blanks(len(PREFACE), max_continuations)
        # A client sends the same head again and again; it becomes the same object. It is this connection's
        # own: nobody is known yet, and no other peer is quicker for it.
        self._last_fields: tuple[Pair, ...] = ()
        self._last_head = Http2RequestHead("", "", (), None)
        self.has_begun = self.has_heard = self.is_within = False
        self._has_cut = False
        self._last_word: bytes | None = None
        self._unsent: dict[int, tuple[list[Buffer], Sequence[Pair]]] = {}
        self._connection = connection = ngh2.Connection(ngh2.Role.SERVER, configuration)
        connection.initiate_connection(
            {
                ngh2.Setting.MAX_CONCURRENT_STREAMS: max_streams,
                ngh2.Setting.INITIAL_WINDOW_SIZE: stream_window_bytes,
                ngh2.Setting.MAX_HEADER_LIST_SIZE: max_head_bytes,
            }
        )
        connection.set_local_window_size(connection_window_bytes)

    def __repr__(self) -> str:
        return f"<Http2Server {'over' if self.is_over else 'open'}>"

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be read; true only after ``output`` has been sent."""
        return self._last_word is not None or not self._connection.want_read

    def feed(self, data: bytes) -> list[Http2Event]:
        """Take a piece of the stream; return what it brings.

        The engine minds resets only when ``output`` was called: much should come in portions.

        Raises:
            FramingError: nothing after it can be read.
        """
        try:
            self._connection.receive_data(self._blanks.pass_on(data))
            heard = self._connection.events()
        except (ngh2.NGH2Error, FramingError) as error:
            self._break(error)
            raise FramingError(str(error)) from None
        events: list[Http2Event] = []
        self.is_within = not heard
        self.has_heard |= bool(heard)
        # Any: mypy does not follow a comparison of types, which is what is quick here.
        event: Any
        for event in heard:
            kind = type(event)
            if kind is ngh2.DataReceived:
                # Frames without data are free for who sends them; they cost us nothing either.
                if event.data or event.end_stream:
                    events.append(BodyData(event.stream_id, event.data, event.end_stream))
            elif kind is ngh2.RequestReceived:
                if (request := self._request(event.stream_id, event.headers, event.end_stream)) is not None:
                    events.append(request)
            elif kind is ngh2.StreamClosed:
                self._unsent.pop(event.stream_id, None)
                events.append(StreamClosed(event.stream_id, event.error_code))
            elif kind is ngh2.TrailersReceived:
                events.append(BodyEnd(event.stream_id))
            elif kind is ngh2.SettingsReceived:
                self.has_begun = True
        return events

    def output(self, most_bytes: int) -> bytes:
        """Return what may be sent now, as far as the peer's windows allow; empty when there is nothing."""
        if self._last_word is not None:
            last_word, self._last_word = self._last_word, b""
            return last_word
        for stream in list(self._unsent):
            self._queue_more(stream)
        try:
            output = self._connection.data_to_send(most_bytes)
        except ngh2.NGH2Error as error:
            self._break(error)
            raise FramingError(str(error)) from None
        self._has_cut = len(output) >= most_bytes
        return output

    def acknowledge(self, size: int, stream: int) -> None:
        """Open the windows by ``size`` bytes of ``stream``, be it over or not."""
        try:
            self._connection.acknowledge_received_data(size, stream)
        except ngh2.NGH2Error:
            # What is over has no window to open.
            return

    def answer(
        self, stream: int, headers: Sequence[Pair], body: Iterable[Buffer], trailers: Sequence[Pair]
    ) -> None:
        """Queue a whole answer; without a body, trailers are part of its only block of headers."""
        connection = self._connection
        parts = [part for part in body if part]
        if len(parts) > 1 and sum(map(len, parts)) <= _COPIED:
            parts = [b"".join(parts)]
        try:
            if not parts:
                connection.send_response(stream, (*headers, *trailers), end_stream=True)
                return
            connection.send_response(stream, headers)
            if sum(map(len, parts)) > SLICE_BYTES:
                self._unsent[stream] = slices(parts), trailers
                self._queue(stream)
                return
            for part in parts[:-1]:
                connection.send_data(stream, part)
            connection.send_data(stream, parts[-1], end_stream=not trailers)
            if trailers:
                connection.send_trailers(stream, trailers)
        except ngh2.NGH2Error:
            # The peer has left the stream, most likely, and this changes nothing. If not, it learns here that
            # no more will come.
            self.reset(stream, INTERNAL_ERROR)

    def _queue(self, stream: int) -> None:
        """Hand on the next slices of a large answer; all of it at once would be copied at once."""
        (unsent, trailers), connection = self._unsent[stream], self._connection
        while unsent and connection.queued_body_size(stream) < SLICE_BYTES:
            part = unsent.pop()
            connection.send_data(stream, part, end_stream=not unsent and not trailers)
        if not unsent:
            del self._unsent[stream]
            if trailers:
                connection.send_trailers(stream, trailers)

    def _queue_more(self, stream: int) -> None:
        try:
            self._queue(stream)
        except ngh2.NGH2Error:
            self.reset(stream, INTERNAL_ERROR)

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
        self._unsent.pop(stream, None)
        self._did(lambda: self._connection.reset_stream(stream, error))

    def queued(self, stream: int | None = None) -> int:
        """Return the bytes of a stream's answer, or of all, that have not been let out yet."""
        if self._last_word is not None:
            return 0
        unsent = self._unsent
        streams = unsent if stream is None else (stream,) if stream in unsent else ()
        return self._connection.queued_body_size(stream) + sum(
            sum(map(len, unsent[each][0])) for each in streams
        )

    def ping(self) -> None:
        """Queue a question that a peer answers between any two frames, but not amid a head."""
        self._did(self._connection.ping)

    def announce_end(self) -> None:
        """Queue the GOAWAY that announces the end; streams that cross with it are still taken."""
        self._did(self._connection.send_shutdown_notice)

    def end(self, error: int = NO_ERROR) -> None:
        """Queue the last GOAWAY: no stream that comes after this is answered."""
        self._did(lambda: self._connection.send_goaway(error))

    def _request(
        self,
        stream: int,
        fields: Sequence[Pair],
        is_complete: bool,  # noqa: FBT001 - as the engine gives it
    ) -> Http2Request | HeadTooLarge | None:
        self._newest = stream
        known = tuple(fields)
        if self._blanks.has_marked:
            # RFC 9110, 5.5: blanks around a value are no part of it.
            known = tuple((name, value if name[:1] == b":" else _stripped(value)) for name, value in known)
        size = sum([len(name) + len(value) for name, value in known])
        try:
            head = self._last_head if known == self._last_fields else _head(known)
        except ValueError:
            self.reset(stream, PROTOCOL_ERROR)
            return None
        if size <= _LONG:
            self._last_fields, self._last_head = known, head
        size += _FIELD * len(known)
        if size > self._max_head_bytes or len(head.headers) > self._max_headers:
            return HeadTooLarge(stream, head, is_complete)
        return Http2Request(stream, head, 0 if is_complete else head.length, is_complete, size)

    def _break(self, error: Exception) -> None:
        """The engine sends nothing more: write its GOAWAY, unless that would fall into a frame."""
        if self._last_word is not None:
            return
        code = ENHANCE_YOUR_CALM if isinstance(error, ngh2.DenialOfServiceError) else PROTOCOL_ERROR
        self._last_word = b"" if self._has_cut else _GOAWAY.pack(0, 8, 7, 0, 0, self._newest, code)

    def _did(self, act: object) -> bool:
        try:
            act()  # type: ignore[operator] # a call without arguments, whatever it returns
        except ngh2.NGH2Error:
            return False
        return True


def _stripped(value: bytes) -> bytes:
    sent = unmarked(value)
    return value if sent is value else sent.strip(b" \t")


def _head(fields: tuple[Pair, ...]) -> Http2RequestHead:
    """Raises ValueError: what HTTP/2 lets pass, and a server that is no proxy does not."""
    method = path = authority = ""
    length: int | None = None
    headers: list[tuple[str, str]] = []
    for name, value in fields:
        text = value.decode("latin-1")
        if name[:1] != b":":
            if name == b"content-length":
                length = int(value)
            elif name == b"host" and authority:
                if text.lower() != authority.lower():
                    # RFC 9113, 8.3.1: two names for one server are an attempt to deceive.
                    raise ValueError(name)
                continue
            headers.append((name.decode("latin-1"), text))
        elif name == b":path":
            path = text
        elif name == b":method":
            method = text
        elif name == b":authority":
            authority = text
            headers.append(("host", text))
    if path[:1] != "/" or not path.isascii():
        raise ValueError(path)
    return Http2RequestHead(method, path, tuple(headers), length)
