"""When the windows of an HTTP/2 connection open again, and what of its bodies counts as buffered."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.http.framing.http2_server import Http2Server
from gateway.http.server.http2.stream import Http2Stream
from gateway.http.server.http2.writer import Http2Writer
from gateway.http.server.incoming_bodies import LARGE
from gateway.http.server.settings import TransportSettings


class Http2Windows:
    """Acknowledges bytes of bodies, at once or when they have been read.

    Bytes of a whole body are acknowledged as they come: bodies are bounded by their policy and their
    address's share, so the windows only pace them. But while answers are under way and the address holds
    much, they wait until answers have made room. Bytes of a streamed body wait until they are read.
    """

    __slots__ = ("_answering", "_engine", "_owed", "_stream_window", "_window", "_writer")

    def __init__(self, engine: Http2Server, writer: Http2Writer, settings: TransportSettings) -> None:
        self._engine, self._writer = engine, writer
        self._stream_window = settings.initial_stream_window_kib << 10
        self._window = settings.initial_connection_window_kib << 10
        self._answering = 0
        """Bytes of whole bodies that are being answered."""
        self._owed: dict[int, int] = {}
        """Bytes of streams that are to be acknowledged when answers have made room."""

    def __repr__(self) -> str:
        return f"<Http2Windows, {self._answering} bytes being answered, {len(self._owed)} streams wait>"

    def take(self, stream: Http2Stream, size: int) -> bool:
        """Count ``size`` more bytes of a body, and open the windows for them unless they have to wait.

        Returns:
            Whether there was room for them.
        """
        booking, is_streamed = stream.booking, stream.body is not None
        if not booking.take(size, self._stream_window if is_streamed else stream.policy.max_bytes):
            return False
        if is_streamed:
            return True
        if self._answering and booking.is_high:
            # Without any answer under way, to wait for room could be to wait for ever.
            self._owed[stream.number] = self._owed.get(stream.number, 0) + size
        else:
            self.acknowledge(stream.number, size)
        return True

    def begin_answering(self, stream: Http2Stream) -> None:
        """Note that a whole body is being answered: that will make room."""
        self._answering += stream.booked
        stream.makes_room = True

    def read(self, stream: Http2Stream, size: int) -> None:
        """Open the windows for what the application has read; nothing of a stream that was released."""
        if stream.unread:
            stream.unread -= size
            self.acknowledge(stream.number, size)

    def consumed(self, stream: Http2Stream, size: int) -> None:
        """Count what the application is done with no longer, unless the stream was released."""
        if stream.booked:
            stream.booked -= size
            stream.booking.give(size)

    def is_holding_back(self, streams: Iterable[Http2Stream]) -> bool:
        """Whether bodies of ``streams`` may be waiting for the windows, and not for the peer."""
        return bool(self._owed) or 2 * sum([stream.unread for stream in streams]) > self._window

    def release(self, stream: Http2Stream) -> None:
        """Count nothing of a stream any more: it is answered, or will not be read."""
        if stream.cost > 0:
            stream.booking.charge(-stream.cost)
            stream.cost = 0
        if stream.size >= LARGE:
            stream.booking.incoming.remove(stream)
        if stream.booked:
            stream.booking.give(stream.booked)
            if stream.unread:
                # What will never be read must not keep the window of all streams closed.
                self.acknowledge(stream.number, stream.unread)
            elif stream.makes_room:
                self._answering -= stream.booked
            stream.booked = stream.unread = 0
        if self._owed and not (self._answering and stream.booking.is_high):
            owed, self._owed = self._owed, {}
            for number, size in owed.items():
                self.acknowledge(number, size)

    def acknowledge(self, number: int, size: int) -> None:
        """Open the windows by ``size`` bytes of a stream, be it over or not."""
        self._engine.acknowledge(size, number)
        self._writer.flush()
