"""HTTP/1.1 as its server reads it, without any I/O: bytes in, heads and bodies out.

llhttp (``httptools``) parses, strictly. This module refuses what two parsers in a row could read as two
different things, where llhttp is content with one reading: a list of transfer codings, a target in another
form than the origin's, no Host or two of them, versions that are no HTTP/1, tunnels. Offers to
upgrade are ignored. Whatever cannot be read ends the connection: where the next request begins is not known.

Clients often send the same head again. Where a request begins with exactly the bytes of the head before, they
are not parsed again: the same head object is given out, so that its readers can remember what they found.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import httptools
import msgspec

_VERSIONS: Final = ("1.1", "1.0")
_NAMES: Final = 512
_CHUNK: Final = 20
"""Bytes of framing allowed for each chunk: 16 digits of its size and two ends of lines."""
_TUNNEL: Final = {"CONNECT", "SOURCE"}
_RTSP: Final = {"ANNOUNCE", "DESCRIBE", "FLUSH", "GET_PARAMETER", "PAUSE", "PLAY", "RECORD", "REDIRECT"}
_FOREIGN: Final = _TUNNEL | _RTSP | {"SETUP", "SET_PARAMETER", "TEARDOWN"}
"""Methods that ask for a tunnel, or that llhttp knows from protocols that only look like HTTP."""
_HOST: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+;=%:\[\]-]*")
"""Host and port as in RFC 3986, but without commas: several Host headers may be joined by them."""
_REMEMBERED: Final = (1, 3)
"""Events of a head alone, and of a head, a body and its end."""

_HEAD_END: Final = b"\r\n\r\n"

FEW: Final = 4 << 10
"""Bytes that are little work whatever they are: 150 requests, or 700 chunks."""

_COPIED: Final = 1 << 14
"""Bodies up to this size are copied out of the piece that they came in; a view of it costs more."""


class Http1RequestHead(msgspec.Struct, frozen=True, gc=False):
    """A request's head.

    ``length``: of the body; None when it is chunked. ``keep_alive``: another request may follow. ``size``:
    bytes of the head.
    """

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    length: int | None
    keep_alive: bool
    is_10: bool
    expects_continue: bool
    size: int = 0


class RequestEnd(msgspec.Struct, frozen=True, gc=False):
    """The request is complete."""


class MalformedRequest(msgspec.Struct, frozen=True, gc=False):
    """What came is no request; nothing after it can be read."""

    status: int
    message: str


class _Repeat(msgspec.Struct, frozen=True, gc=False):
    """A head that was parsed, the bytes it was parsed from, and the size of head and body together."""

    raw: bytes
    head: Http1RequestHead
    size: int


Http1Event = Http1RequestHead | bytes | memoryview | RequestEnd | MalformedRequest
END: Final = RequestEnd()
_MALFORMED: Final = MalformedRequest(400, "the request is not as HTTP has it")


class Http1Server:
    """The requests of one connection: ``feed`` returns what each piece of the stream adds to them.

    Args:
        max_head_bytes: of a request line and all its headers; one more is 431. Of what a chunked body has
            besides its chunks' sizes and bytes, likewise.
        max_headers: likewise, their number; trailers of a chunked body count on.
    """

    __slots__ = (
        "_came",
        "_count",
        "_events",
        "_has_begun",
        "_headers",
        "_in_head",
        "_in_message",
        "_is_over",
        "_max_bytes",
        "_max_headers",
        "_overhead",
        "_parser",
        "_partial",
        "_path",
        "_repeat",
        "_size",
    )

    def __init__(self, *, max_head_bytes: int = 60 << 10, max_headers: int = 100) -> None:
        self._max_bytes, self._max_headers = max_head_bytes, max_headers
        self._parser = httptools.HttpRequestParser(self)
        self._events: list[Http1Event] = []
        self._headers: list[tuple[str, str]] = []
        self._path = ""
        self._size = self._partial = self._count = self._overhead = self._came = 0
        self._in_head = self._in_message = self._has_begun = self._is_over = False
        self._repeat: _Repeat | None = None

    def __repr__(self) -> str:
        where = "over" if self._is_over else "in a head" if self._in_head else "between requests or in a body"
        return f"<Http1Server {where}>"

    @property
    def in_head(self) -> bool:
        """Whether a head has begun and not ended."""
        return self._in_head

    @property
    def head_bytes(self) -> int:
        """Bytes of a head that has begun and not ended, at most."""
        return min(self._came, self._max_bytes) if self._in_head else 0

    def cut(self, data: bytes, begins: int) -> int:
        """Return where what begins at ``begins`` and is one request at most, or little, ends.

        Of a request that is not the one before again, that is its head.
        """
        if self._in_message:
            return begins + FEW
        if (repeat := self._repeat) and data.startswith(repeat.raw, begins):
            return begins + repeat.size
        ends = data.find(_HEAD_END, begins, begins + FEW)
        return begins + FEW if ends < 0 else ends + len(_HEAD_END)

    def feed(self, data: bytes) -> list[Http1Event]:
        """Take a piece of the stream; return the events it brings, of as many requests as it holds."""
        if self._is_over:
            return []
        events: list[Http1Event] = []
        while not self._in_message and (repeat := self._repeat) and data.startswith(repeat.raw):
            begins, ends = len(repeat.raw), repeat.size
            if len(data) < ends:
                break
            body = data[begins:ends] if ends < _COPIED else memoryview(data)[begins:ends]
            events += (repeat.head, body, END)
            if len(data) == ends:
                return events
            data = data[ends:]
        is_start = not self._in_message
        parsed = self._parse(data)
        if is_start and len(parsed) in _REMEMBERED and isinstance(head := parsed[0], Http1RequestHead):
            self._remember(data, head)
        return events + parsed if events else parsed

    def skip_body(self) -> None:
        """Let the next request begin: the rest of the body came past this."""
        self._parser = httptools.HttpRequestParser(self)
        self._in_message = False

    def _parse(self, data: bytes) -> list[Http1Event]:
        events: list[Http1Event] = []
        self._events = events
        was_in_head, was_in_body = self._in_head, self._in_message and not self._in_head
        self._has_begun = False
        while data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._decline()
                data = data[upgrade.args[0] :]
                continue
            except httptools.HttpParserCallbackError:
                # One of this class's own callbacks has raised it, and noted what is wrong.
                self._is_over = True
            except httptools.HttpParserError:
                self._break(_MALFORMED)
            break
        if self._in_head and not self._is_over:
            self._came = len(data) + (0 if self._has_begun else self._came)
            # Parts that are not complete yet are not in _size. What came before this head is not its fault.
            self._partial = 0 if self._has_begun or not was_in_head else self._partial + len(data)
            if max(self._partial, self._size) > self._max_bytes:
                self._break(_too_large())
        elif was_in_body and self._in_message and not (self._has_begun or self._is_over):
            self._count_overhead(len(data), events)
        # Who takes them decides how long they are kept: a connection outlives its bodies.
        self._events = []
        return events

    def _decline(self) -> None:
        """Go on as if no upgrade had been offered: what follows is the body, if the head has one.

        llhttp ends the request at its head instead. A new parser gets the same body announced.
        """
        self._parser = httptools.HttpRequestParser(self)
        head = self._events[-2]
        assert isinstance(head, Http1RequestHead)
        if head.length == 0:
            return
        self._events.pop()
        events, self._events = self._events, []
        body = "transfer-encoding: chunked" if head.length is None else f"content-length: {head.length}"
        lasts = "keep-alive" if head.keep_alive else "close"
        self._parser.feed_data(f"POST / HTTP/1.1\r\nhost:\r\nconnection: {lasts}\r\n{body}\r\n\r\n".encode())
        self._events = events

    def _count_overhead(self, size: int, events: list[Http1Event]) -> None:
        """Count what came within a body and is none of it: extensions of chunks, and unfinished trailers.

        The parser does not, and they could go on for ever.
        """
        came = sum(len(event) for event in events if isinstance(event, bytes))
        self._overhead = max(0, self._overhead + size - came)
        if self._overhead > self._max_bytes:
            self._break(_too_large())

    def _remember(self, data: bytes, head: Http1RequestHead) -> None:
        ends = data.find(b"\r\n\r\n") + 4
        is_plain = head.keep_alive and not head.expects_continue and data[:1] not in b"\r\n"
        if is_plain and head.length and len(data) in (ends, ends + head.length):
            self._repeat = _Repeat(data[:ends], head, ends + head.length)

    # --- what httptools calls

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = self._in_message = self._has_begun = True
        self._size = self._count = self._partial = self._overhead = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        self._size += len(url)
        if self._size > self._max_bytes:
            self._refuse(_too_large())
        self._path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer."""
        self._size += len(name) + len(value) + 4
        self._count += 1
        if self._size > self._max_bytes or self._count > self._max_headers:
            self._refuse(_too_large())
        if self._in_head:
            # Trailers are read, bounded and dropped: nothing in them counts.
            self._headers.append((_lower(name), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Judge the head and give it out."""
        parser = self._parser
        version = parser.get_http_version()
        if version not in _VERSIONS:
            self._refuse(MalformedRequest(505, "only HTTP/1.1, HTTP/1.0 and HTTP/2 are spoken here"))
        headers, path = tuple(self._headers), self._path
        self._headers, self._path, self._in_head = [], "", False
        method = parser.get_method().decode("latin-1")
        if not path.startswith("/") or "#" in path or method in _FOREIGN:
            self._refuse(_MALFORMED)
        length, hosts, expects = self._judge(headers, is_10=version == "1.0")
        if hosts != 1 and (hosts or version == "1.1"):
            self._refuse(MalformedRequest(400, "a request has exactly one Host"))
        if not parser.should_keep_alive():
            # What follows is no request, even if it looks like the last.
            self._repeat = None
        self._events.append(
            Http1RequestHead(
                method,
                path,
                headers,
                None if length < 0 else length,
                parser.should_keep_alive(),
                version == "1.0",
                expects and version == "1.1",
                self._size,
            )
        )

    def _judge(self, headers: tuple[tuple[str, str], ...], *, is_10: bool) -> tuple[int, int, bool]:
        """Return the length of the body (-1: chunked), the number of hosts, and whether 100 is expected."""
        length, hosts, expects = 0, 0, False
        for name, value in headers:
            if name == "host":
                hosts += 1
                if not _HOST.fullmatch(value):
                    self._refuse(MalformedRequest(400, "the Host is none"))
            elif name == "content-length":
                length = int(value)
            elif name == "transfer-encoding":
                if is_10 or value.lower() != "chunked":
                    self._refuse(_MALFORMED)
                length = -1
            elif name == "expect":
                if value.lower() != "100-continue":
                    self._refuse(MalformedRequest(417, "the only expectation that is met is 100-continue"))
                expects = True
        return length, hosts, expects

    def on_body(self, body: bytes) -> None:
        """Give out a part of the body."""
        self._events.append(body)

    def on_chunk_header(self) -> None:
        """Take the line with a chunk's size, which is a fair part of the overhead."""
        self._overhead -= _CHUNK

    def on_message_complete(self) -> None:
        """A request ends."""
        self._in_message = False
        self._events.append(END)

    def _refuse(self, broken: MalformedRequest) -> None:
        self._break(broken)
        raise ValueError(broken.message)

    def _break(self, broken: MalformedRequest) -> None:
        self._is_over = True
        self._events.append(broken)


def _too_large() -> MalformedRequest:
    return MalformedRequest(431, "the headers are too large or too many")


@lru_cache(_NAMES)
def _lower(name: bytes) -> str:
    """Names repeat; the bound keeps a flood of invented ones from growing this."""
    return name.lower().decode("latin-1")


_: Callable[..., object] = Http1Server
