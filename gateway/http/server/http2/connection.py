"""One HTTP/2 connection: moves bytes between its peer, the protocol engine and the requests.

``state.decide`` decides how it goes on as a whole; ``Http2Requests`` has its streams.
"""

from __future__ import annotations

import asyncio
import math

from gateway.http.framing.errors import FramingError
from gateway.http.framing.http2_portions import FEW, Http2Portions
from gateway.http.framing.http2_server import BodyData, BodyEnd, HeadTooLarge, Http2Request, Http2Server
from gateway.http.server.context import ServerContext
from gateway.http.server.ended_peers import Ending
from gateway.http.server.http2.requests import Http2Requests
from gateway.http.server.http2.state import Http2Command, Http2ConnectionEvent, Http2State, Situation, decide
from gateway.http.server.http2.windows import Http2Windows
from gateway.http.server.http2.writer import Http2Writer
from gateway.http.server.registry import Connection
from gateway.http.server.settings import TransportSettings
from gateway.http.server.unread_answers import UnreadAnswers


class Http2ServerConnection(asyncio.Protocol):
    """One client's connection. ``peer`` is that of ``exchange.Head``.

    ``requests``: those under way. ``writer``: what is written to ``transport``.
    """

    def __init__(self, context: ServerContext, transport: asyncio.Transport, peer: str) -> None:
        self._context, self.transport = context, transport
        self._engine = engine = _engine(context.settings)
        self.writer = Http2Writer(context, transport, engine, UnreadAnswers(lambda: self.requests.booking))
        booking = context.address_limits.of(peer).booking()
        windows = Http2Windows(engine, self.writer, context.settings)
        self.requests = Http2Requests(context, peer, engine, self.writer, windows, booking=booking)
        self.state = Http2State()
        self._portions, self._rest, self._rests_at = Http2Portions(), b"", 0
        self._is_reading = True
        # Loop times: something happened to a stream; a frame ended; one began that has not ended; the end
        # was announced.
        self._lived = self._heard = self._left = context.loop.time()
        self._partial = math.inf

    def __repr__(self) -> str:
        return f"<Http2ServerConnection {self.state.phase.value}, {len(self.requests)} streams>"

    # --- what the transport calls

    def data_received(self, data: bytes) -> None:
        """Take a piece of the stream, and answer what can be answered at once; of much, a portion."""
        if self._rest:
            # Reading is paused, but TLS has some of it decrypted already.
            self._rest += data
        elif len(data) <= FEW:
            self._portions.skip(data)
            if self._take(data):
                self._end_turn()
        else:
            self._rest, self._rests_at = data, 0
            self._context.turns.begin(self)

    def _take(self, data: bytes) -> bool:
        """Take what is little work; return whether something may be written."""
        try:
            events = self._engine.feed(data)
        except FramingError:
            self._rest = b""
            self.writer.fail()
            return False
        if events:
            # Only streams count as life: pings, and headers that never end, do not.
            self._lived = self._context.loop.time()
        requests = self.requests
        self.writer.is_held = True
        try:
            for event in events:
                kind = type(event)
                if kind is BodyData:
                    requests.take_data(event)  # type: ignore[arg-type] # its type is what was just looked at
                elif kind is Http2Request:
                    requests.take_request(event)  # type: ignore[arg-type] # likewise
                elif kind is BodyEnd:
                    requests.take_end(event.stream)
                elif kind is HeadTooLarge:
                    requests.take_too_large(event)  # type: ignore[arg-type] # likewise
                else:
                    requests.take_closed(event.stream)
        finally:
            self.writer.is_held = False
        return True

    def _end_turn(self) -> None:
        self.requests.book()
        self.writer.flush_soon()

    def eof_received(self) -> bool:
        """Take the end of the stream: the peer has left."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Cancel everything: no answer can be sent any more."""
        self._rest = b""
        self._context.registry.remove(self)
        self.requests.close_all()
        self.writer.release()

    def pause_writing(self) -> None:
        """Note that the peer reads too slowly."""
        self.writer.pause()

    def resume_writing(self) -> None:
        """Note that it has caught up."""
        self.writer.resume()

    # --- what the turns of the loop call

    def work(self, until: float) -> bool:
        """Take a portion of what has come, and more until the time ``until``; return whether some is left."""
        tick = self._context.tick
        while self._rest and not self.transport.is_closing():
            begins, rest = self._rests_at, self._rest
            self._rests_at = ends = self._portions.cut(rest, begins)
            if not self._take(rest[begins:ends]):
                return False
            if ends == len(rest):
                self._rest = b""
            elif tick() >= until:
                break
        self._end_turn()
        return self._steer()

    def _steer(self) -> bool:
        """Read nothing more while something is left of what has come; return whether it is."""
        transport, has_more = self.transport, bool(self._rest)
        if transport.is_closing():
            return False
        if has_more is not self._is_reading:
            return has_more
        self._is_reading = not has_more
        if has_more:
            transport.pause_reading()
        else:
            transport.resume_reading()
        return has_more

    # --- what the registry calls

    def sweep(self, now: float) -> None:
        """End what takes too long."""
        writer = self.writer
        if self.transport.is_closing():
            # A peer that does not read would keep what is left of this connection for ever.
            writer.leave()
        if writer.progress.is_stuck(now):
            self._context.ended.note(Ending.SLOW_READER)
            self.abort()
        elif not writer.book_unread():
            self._context.ended.note(Ending.UNREAD)
            self.abort()
        if self.transport.is_closing():
            return
        if writer.unsent:
            self.requests.close_stuck(writer.unsent.stuck(now, self._context.settings))
            writer.flush()
        self._happen(Http2ConnectionEvent.SWEPT, self._situation(now), now)

    def drain(self) -> None:
        """Take no more streams than have crossed with the GOAWAY that announces the end."""
        self._happen(Http2ConnectionEvent.DRAIN_BEGAN, Situation(), self._context.loop.time())

    def abort(self) -> None:
        """Close the connection at once."""
        self.transport.abort()

    def give_way(self) -> bool:
        """Close the connection if it has no stream, and nothing left to send."""
        is_idle = not (self.requests or self.writer.unsent or self.writer.is_paused or self._rest)
        if is_idle:
            self.abort()
        return is_idle

    # --- the state

    def _situation(self, now: float) -> Situation:
        engine, is_paused = self._engine, self.writer.is_paused
        is_busy = bool(self.requests or self.writer.unsent or is_paused)
        if not is_busy:
            # The beginning of a frame was seen by the sweep after it.
            self._partial = min(self._partial, now) if engine.is_within else math.inf
        return Situation(
            is_busy,
            is_paused,
            engine.has_heard,
            engine.has_begun,
            self._context.drain.is_active,
            now - self._lived,
            now - self._heard,
            now - self._partial,
            now - self._left,
        )

    def _happen(self, event: Http2ConnectionEvent, found: Situation, now: float) -> None:
        self.state, commands = decide(self.state, event, found, self._context.settings)
        for command in commands:
            self._do(command, now)

    def _do(self, command: Http2Command, now: float) -> None:
        match command:
            case Http2Command.NOTE_LIFE:
                self._lived = now
            case Http2Command.END_SLOW:
                self.requests.end_slow(now)
            case Http2Command.NOTE_HEARD:
                self._engine.has_heard = False
                self._heard = now
            case Http2Command.FLUSH:
                self.writer.flush()
            case Http2Command.PING:
                self._engine.ping()
            case Http2Command.ANNOUNCE_END:
                self._lived = self._left = now
                self._engine.announce_end()
            case Http2Command.END_CONVERSATIONS:
                self.requests.end_conversations()
            case Http2Command.NAME_LAST_STREAM:
                self._engine.end()
            case Http2Command.CLOSE:
                self._lived = now
                self.transport.close()


def _engine(settings: TransportSettings) -> Http2Server:
    return Http2Server(
        max_streams=settings.max_concurrent_streams,
        stream_window_bytes=settings.initial_stream_window_kib << 10,
        connection_window_bytes=settings.initial_connection_window_kib << 10,
        max_head_bytes=settings.max_request_headers_kb << 10,
        max_headers=settings.max_headers_count,
        max_continuations=settings.max_continuations,
        max_resets_per_s=settings.max_resets_per_s,
    )


_: type[Connection] = Http2ServerConnection
