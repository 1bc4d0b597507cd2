"""When the windows of an HTTP/2 connection open again, and what of its bodies counts as buffered."""

from __future__ import annotations

from gateway.http.framing.http2_server import Http2Server
from gateway.http.server.address_limits import AddressUsage
from gateway.http.server.http2.stream import Http2Stream
from gateway.http.server.http2.writer import Http2Writer


class Http2Windows:
    """Acknowledges bytes of bodies, at once or when they have been read.

    Bytes of a whole body are acknowledged as they come: bodies are bounded by their policy and their
    address's share, so the windows only pace them. But while answers are under way and the address holds
    much, they wait until answers have made room. Bytes of a streamed body wait until they are read.
    """

    __slots__ = ("_answering", "_engine", "_owed", "_stream_window", "_usage", "_writer")

    def __init__(
        self, usage: AddressUsage, engine: Http2Server, writer: Http2Writer, stream_window_bytes: int
    ) -> None:
        self._usage, self._engine, self._writer = usage, engine, writer
        self._stream_window = stream_window_bytes
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
        usage = self._usage
        if stream.body is not None:
            return usage.take(size, self._stream_window)
        if not usage.take(size, stream.policy.max_bytes):
            return False
        if self._answering and usage.held > usage.high:
            # Without any answer under way, to wait for room could be to wait for ever.
            self._owed[stream.number] = self._owed.get(stream.number, 0) + size
        else:
            self.acknowledge(stream.number, size)
        return True

    def begin_answering(self, stream: Http2Stream) -> None:
        """Note that a whole body is being answered: that will make room."""
        self._answering += stream.held
        stream.makes_room = True

    def read(self, stream: Http2Stream, size: int) -> None:
        """Open the windows for what the application has read; nothing of a stream that was released."""
        if stream.unread:
            stream.unread -= size
            self.acknowledge(stream.number, size)

    def consumed(self, stream: Http2Stream, size: int) -> None:
        """Count what the application is done with no longer, unless the stream was released."""
        if stream.held:
            stream.held -= size
            self._usage.give(size)

    def release(self, stream: Http2Stream) -> None:
        """Count nothing of a stream any more: it is answered, or will not be read."""
        if stream.held:
            self._usage.give(stream.held)
            if stream.unread:
                # What will never be read must not keep the window of all streams closed.
                self.acknowledge(stream.number, stream.unread)
            elif stream.makes_room:
                self._answering -= stream.held
            stream.held = stream.unread = 0
        if self._owed and (not self._answering or self._usage.held <= self._usage.high):
            owed, self._owed = self._owed, {}
            for number, size in owed.items():
                self.acknowledge(number, size)

    def acknowledge(self, number: int, size: int) -> None:
        """Open the windows by ``size`` bytes of a stream, be it over or not."""
        self._engine.acknowledge(size, number)
        self._writer.flush()
