"""HTTP/2 as its client speaks it, without any I/O: unary requests ⇄ bytes ⇄ answers.

libnghttp2 (``ngh2``) keeps the protocol: HPACK, flow control in both directions, the states of streams,
bounds on what a peer may make us keep. What is left to do is to put the answers together, within
bounds, and to report how each stream ended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import msgspec
import ngh2

from gateway.core.tensor import Buffer
from gateway.http.framing.errors import FramingError
from gateway.http.framing.hpack_blanks import unmarked
from gateway.http.framing.http2_blanks import Http2Blanks
from gateway.http.framing.large_body import SLICE_BYTES, BodyCollector, slices

REFUSED: Final = int(ngh2.ErrorCode.REFUSED_STREAM)
"""The code of a stream that was not processed: refused, or above the last one that GOAWAY names."""

CANCEL: Final = int(ngh2.ErrorCode.CANCEL)
ENHANCE_YOUR_CALM: Final = int(ngh2.ErrorCode.ENHANCE_YOUR_CALM)

Header = tuple[bytes, bytes]
_PROTOCOL_ERROR: Final = int(ngh2.ErrorCode.PROTOCOL_ERROR)
_PING: Final = b"edgeway!"
_UNLIMITED: Final = 1 << 31


class ClosingError(Exception):
    """The connection takes no more requests; nothing was sent."""


class Http2Response(msgspec.Struct, frozen=True, gc=False):
    """An answer. Of a header or trailer given twice the first counts; names are in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: Buffer
    trailers: dict[bytes, bytes]


class StreamReset(msgspec.Struct, frozen=True, gc=False):
    """A stream that ended without an answer, by the peer's error ``code``."""

    code: int


class AnswerRefused(msgspec.Struct, frozen=True, gc=False):
    """A stream whose headers, trailers or length are not as HTTP/2 has them: it was refused here."""


class AnswerTooLarge(msgspec.Struct, frozen=True, gc=False):
    """A stream whose body grew larger than agreed; it was cancelled."""


Outcome = Http2Response | StreamReset | AnswerRefused | AnswerTooLarge


class _Stream:
    __slots__ = ("body", "headers")

    def __init__(self, max_body_bytes: int) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.body = BodyCollector(max_body_bytes)


class Http2Client:
    """One connection. Whoever owns it moves bytes: ``feed`` takes the peer's, ``output`` gives ours.

    Args:
        stream_window_bytes: how much of one body the peer may send ahead.
        connection_window_bytes: how much of all bodies together.
        max_header_bytes: of one block of headers or trailers, unpacked.
        max_body_bytes: of one answer.
        texts: names whose values keep the blanks at their ends; of others RFC 9110, 5.5 takes them off.
    """

    def __init__(
        self,
        *,
        stream_window_bytes: int,
        connection_window_bytes: int,
        max_header_bytes: int,
        max_body_bytes: int,
        texts: Collection[bytes] = (),
    ) -> None:
        self._max_body, self._texts = max_body_bytes, texts
        self._connection = ngh2.Connection(
            ngh2.Role.CLIENT, ngh2.Configuration(max_inbound_header_list_size=max_header_bytes)
        )
        self._connection.initiate_connection(
            {ngh2.Setting.ENABLE_PUSH: 0, ngh2.Setting.INITIAL_WINDOW_SIZE: stream_window_bytes}
        )
        self._connection.set_local_window_size(connection_window_bytes)
        self._unsent: dict[int, list[Buffer]] = {}
        self._streams: dict[int, _Stream] = {}
        self._blanks = Http2Blanks()
        self.max_streams = 100
        """Streams that the peer allows at once; 100 are assumed until its SETTINGS come."""
        self.is_ready = False
        """The peer's SETTINGS have come."""
        self.is_closing = False
        """No more requests may be sent."""
        self.goaway_code: int | None = None
        """The error code of the peer's GOAWAY."""

    def __repr__(self) -> str:
        state = "closing" if self.is_closing else "ready" if self.is_ready else "new"
        return f"<Http2Client {state}, {len(self._streams)} of {self.max_streams} streams>"

    @property
    def running(self) -> int:
        """Streams under way."""
        return len(self._streams)

    @property
    def is_over(self) -> bool:
        """Whether the connection is of no more use; true only after ``output`` has been sent."""
        return not self._connection.want_read

    def request(self, headers: Iterable[Header], body: Iterable[Buffer]) -> int:
        """Queue a request, whose ``body`` has one part at least, and return its stream's number.

        Raises:
            ClosingError: the connection takes no more.
        """
        if self.is_closing:
            raise ClosingError("the connection is closing")
        connection = self._connection
        try:
            stream = connection.send_request(headers)
            self._unsent[stream] = slices([*body])
            self._queue(stream)
        except ngh2.NGH2Error as error:
            self.is_closing = True
            raise ClosingError(str(error)) from None
        self._streams[stream] = _Stream(self._max_body)
        return stream

    def cancel(self, stream: int) -> None:
        """End a stream whose answer is not needed any more."""
        if self._streams.pop(stream, None) is not None:
            self._unsent.pop(stream, None)
            self._reset(stream)

    def ping(self) -> None:
        """Queue a PING; any byte that comes afterwards is a sign of life."""
        self._connection.ping(_PING)

    def shut(self) -> None:
        """Queue a GOAWAY: nothing more is wanted."""
        if not self.is_closing:
            self.is_closing = True
            self._connection.send_goaway()

    def output(self, most_bytes: int) -> bytes:
        """Return what may be sent now, as far as the peer's windows allow; empty when there is nothing."""
        try:
            for stream in list(self._unsent):
                self._queue(stream)
            return self._connection.data_to_send(most_bytes)
        except ngh2.NGH2Error as error:
            raise FramingError(str(error)) from None

    def feed(self, data: bytes) -> list[tuple[int, Outcome]]:
        """Take bytes of the peer; return the streams that ended by them, in order.

        A stream that is refused here ends when ``output`` has told the peer: without bytes, this returns it.

        Raises:
            FramingError: they are not HTTP/2. Streams still under way have no answer.
        """
        connection = self._connection
        try:
            if data:
                connection.receive_data(self._blanks.pass_on(data))
        except ngh2.NGH2Error as error:
            raise FramingError(str(error)) from None
        ended: list[tuple[int, Outcome]] = []
        streams = self._streams
        for event in connection.events():
            if isinstance(event, ngh2.DataReceived):
                self._take(event, ended)
            elif isinstance(event, ngh2.ResponseReceived):
                self._begin(event, ended)
            elif isinstance(event, ngh2.TrailersReceived):
                if (stream := streams.get(event.stream_id)) is not None:
                    ended.append(self._finish(event.stream_id, stream, self._first_of_each(event.headers)))
            elif isinstance(event, ngh2.StreamReset | ngh2.StreamClosed):
                self._end(event, ended)
            else:
                self._note(event)
        return ended

    def _queue(self, stream: int) -> None:
        """Hand on the next slices of a body; all of a large one at once would be copied at once."""
        unsent, connection = self._unsent[stream], self._connection
        while unsent and connection.queued_body_size(stream) < SLICE_BYTES:
            part = unsent.pop()
            connection.send_data(stream, part, end_stream=not unsent)
        if not unsent:
            del self._unsent[stream]

    def _begin(self, event: ngh2.ResponseReceived, ended: list[tuple[int, Outcome]]) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None:
            return
        stream.headers = self._first_of_each(event.headers)
        if event.end_stream:
            ended.append(self._finish(event.stream_id, stream, {}))

    def _take(self, event: ngh2.DataReceived, ended: list[tuple[int, Outcome]]) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None:
            return
        data = event.data
        if stream.body.size + len(data) > self._max_body:
            del self._streams[event.stream_id]
            self._unsent.pop(event.stream_id, None)
            self._reset(event.stream_id)
            ended.append((event.stream_id, AnswerTooLarge()))
            return
        stream.body.add(data)
        if event.end_stream:
            ended.append(self._finish(event.stream_id, stream, {}))

    def _end(self, event: ngh2.StreamReset | ngh2.StreamClosed, ended: list[tuple[int, Outcome]]) -> None:
        number, code = event.stream_id, event.error_code
        self._unsent.pop(number, None)
        if self._streams.pop(number, None) is not None:
            # A stream that the peer has not reset before it is closed was refused here.
            refused = code == _PROTOCOL_ERROR and isinstance(event, ngh2.StreamClosed)
            ended.append((number, AnswerRefused() if refused else StreamReset(code)))

    def _finish(self, number: int, stream: _Stream, trailers: dict[bytes, bytes]) -> tuple[int, Outcome]:
        del self._streams[number]
        if self._unsent.pop(number, None) or self._connection.queued_body_size(number):
            # The answer came before the request was sent: the rest of it is not needed.
            self._reset(number)
        body = stream.body.whole()
        # The parser has made sure of a status of three digits.
        return number, Http2Response(int(stream.headers[b":status"]), stream.headers, body, trailers)

    def _note(self, event: ngh2.Event) -> None:
        match event:
            case ngh2.SettingsReceived(settings=settings):
                if not self.is_ready:
                    self.is_ready, self.max_streams = True, _UNLIMITED
                self.max_streams = settings.get(ngh2.Setting.MAX_CONCURRENT_STREAMS, self.max_streams)
            case ngh2.GoAwayReceived(error_code=code):
                self.is_closing = True
                self.goaway_code = code
            case ngh2.ConnectionClosed():
                self.is_closing = True
            case _:
                # Interim answers, the peer's own pings and extensions ask for nothing.
                pass

    def _reset(self, stream: int) -> None:
        try:
            self._connection.reset_stream(stream, CANCEL)
        except ngh2.NGH2Error:
            # It is closed already, or the whole connection is.
            return

    def _first_of_each(self, headers: Iterable[Header]) -> dict[bytes, bytes]:
        first: dict[bytes, bytes] = {}
        for name, value in headers:
            first.setdefault(name, value)
        if self._blanks.has_marked:
            return {name: self._as_sent(name, value) for name, value in first.items()}
        return first

    def _as_sent(self, name: bytes, value: bytes) -> bytes:
        sent = unmarked(value)
        return sent if sent is value or name in self._texts else sent.strip(b" \t")
