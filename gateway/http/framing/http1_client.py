"""HTTP/1.1 as its client speaks it, without any I/O: requests ⇄ bytes ⇄ answers.

llhttp (``httptools``) finds the parts of an answer; what it leaves to its caller is guarded here: how
large an answer's head and framing may grow, which answers have no body, what may follow one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import httptools
import msgspec

from gateway.core.tensor import Buffer
from gateway.http.framing.errors import AnswerTooLargeError, FramingError, HeadTooLargeError
from gateway.http.framing.large_body import BodyCollector

_MAX_INTERIM: Final = 8
_FRAMING_PER_BYTE: Final = 8
"""Bytes of framing allowed for each byte of body. A chunk of one byte needs six; more is an attack."""
_MAX_SMALL_PARTS: Final = 65_536
_SMALL_BYTES: Final = 16
"""Bytes that each part must have, on average, in an answer of more: a part costs as much as a kilobyte."""


def spellings(names: Iterable[str]) -> dict[bytes, str]:
    """Return header names, given in lower case, by the two spellings that most servers use for them."""
    return {spelling: name for name in names for spelling in (name.encode(), name.title().encode())}


COMMON_NAMES: Final[Mapping[bytes, str]] = spellings(
    ("content-type", "content-length", "connection", "date", "retry-after", "server")
)
"""Names of headers that most answers of any server have."""


class Http1Response(msgspec.Struct, frozen=True, gc=False):
    """An answer. Header names are in lower case; of a header given twice the first counts.

    ``reusable``: the connection may carry another request.
    """

    status: int
    headers: dict[str, str]
    body: Buffer
    reusable: bool


class RequestHeadWriter:
    """Writes the heads of requests to one host; the headers that all of them have are written once."""

    def __init__(self, host: str, always: Mapping[str, str]) -> None:
        self._always = "".join(f"{name}: {value}\r\n" for name, value in always.items())
        self._host = host
        self._lines = 3 + self._always.count("\n")

    def __repr__(self) -> str:
        return f"<RequestHead for {self._host}>"

    def encode(
        self,
        verb: str,
        target: str,
        headers: Mapping[str, str],
        length: int | None,
        more: Sequence[tuple[str, str]] = (),
    ) -> bytes:
        """Return the head of a request with ``length`` bytes of body (None: without one).

        ``more``: further headers, of which a name may be there more than once.

        Raises:
            ValueError: a name or value that no head can carry; nothing may be sent then.
        """
        lines = [f"{verb} {target} HTTP/1.1\r\nHost: {self._host}\r\n{self._always}"]
        lines += [f"{name}: {value}\r\n" for name, value in headers.items()]
        lines += [f"{name}: {value}\r\n" for name, value in more]
        lines.append("\r\n" if length is None else f"Content-Length: {length}\r\n\r\n")
        head = "".join(lines).encode("ascii")
        breaks = self._lines + len(headers) + len(more) + (length is not None)
        if head.count(b"\n") != breaks or head.count(b"\r") != breaks or b"\0" in head:
            raise ValueError("a header holds a line break")
        return head


class ResponseReader:
    """Reads the answers of one connection, one request at a time.

    ``begin`` notes that a request goes out; then ``feed`` takes what comes until it returns the answer.
    A reader that raised, or whose answer is not ``reusable``, is done: so is its connection. ``names``: of
    headers that are expected, by their spelling on the wire; other names are decoded each time.
    """

    def __init__(
        self, *, max_head_bytes: int, max_body_bytes: int, names: Mapping[bytes, str] = COMMON_NAMES
    ) -> None:
        self._max_head, self._max_body, self._names = max_head_bytes, max_body_bytes, names
        self._parser = httptools.HttpResponseParser(self)
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body = BodyCollector(max_body_bytes)
        self._fed = self._size = self._head_size = self._interim = self._parts = 0
        self._to_head = self._in_body = False
        self._keep_alive = False
        self._pending = False
        self._answer: Http1Response | None = None
        self._problem: FramingError | None = None
        self._surplus = False

    def __repr__(self) -> str:
        state = "waits" if self._pending else "idle"
        return f"<ResponseReader {state}, {self._fed} bytes in, {self._size} of body>"

    @property
    def started(self) -> bool:
        """Whether a byte of the present request's answer has come."""
        return self._fed > 0

    def begin(self, verb: str) -> None:
        """Note that a request went out; its ``verb`` decides whether the answer has a body."""
        self._body = BodyCollector(self._max_body)
        self._fed = self._size = self._head_size = self._interim = self._parts = 0
        self._to_head = verb == "HEAD"
        self._in_body = self._surplus = False
        self._pending = True
        self._answer = None

    def feed(self, data: bytes) -> Http1Response | None:
        """Take bytes of the peer; return the answer when they end it.

        Raises:
            FramingError: they are no answer, or more of it than agreed.
        """
        if not self._pending:
            raise FramingError("bytes that nobody asked for")
        if not self._fed and not data.startswith(b"H"):
            # llhttp would take RTSP and ICE too.
            raise FramingError("not HTTP")
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if self._answer is None:
                raise self._problem or FramingError(str(error)) from None
            # The answer was whole; what follows it is dropped, and the connection with it.
            self._surplus = True
        if self._answer is not None:
            return self._finish()
        if self._fed - self._size > self._max_head + _FRAMING_PER_BYTE * self._size:
            raise HeadTooLargeError("the answer is all framing")
        return None

    def end(self) -> Http1Response:
        """Take the end of the connection: some answers end so.

        Raises:
            FramingError: this one does not.
        """
        if self._pending and self._in_body and not self._delimited():
            self._answer = Http1Response(self._status, self._headers, self._body.whole(), reusable=False)
            return self._finish()
        raise FramingError("the connection ended before the answer did")

    def on_message_begin(self) -> None:
        """Parser: an answer begins."""
        if self._answer is not None:
            self._surplus = True
            raise FramingError
        self._headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser: a header, or a trailer, which is dropped."""
        self._head_size += len(name) + len(value)
        if self._head_size > self._max_head:
            self._refuse(HeadTooLargeError("the head is too large"))
        if not self._in_body:
            known = self._names.get(name) or name.decode("latin-1").lower()
            self._headers.setdefault(known, value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        """Parser: the head is whole. Decide what kind of body follows."""
        parser = self._parser
        status = self._status = parser.get_status_code()
        if status < 200:
            self._interim += 1
            if status < 100 or status == 101 or self._interim > _MAX_INTERIM:
                self._refuse(FramingError("an interim answer that nobody asked for"))
            return
        version = parser.get_http_version()
        if not version.startswith("1."):
            self._refuse(FramingError("not HTTP/1"))
        coding = self._headers.get("transfer-encoding")
        if coding is not None and (coding.lower() != "chunked" or version == "1.0"):
            self._refuse(FramingError("a transfer coding that was not asked for"))
        self._keep_alive = parser.should_keep_alive()
        self._in_body = True
        if self._to_head:
            # llhttp has no way to learn that no body follows, so it reads no further.
            self._keep_alive = False
            self._complete()
        length = self._headers.get("content-length", "")
        # llhttp has made sure that it is a number, and that there is one of it.
        if len(length) > 18 or (length and int(length) > self._max_body and not self._bodiless()):
            self._refuse(AnswerTooLargeError)

    def on_body(self, part: bytes) -> None:
        """Parser: a piece of the body."""
        if self._answer is not None:
            raise FramingError
        self._size += len(part)
        if self._size > self._max_body:
            self._refuse(AnswerTooLargeError)
        self._parts += 1
        if self._parts > _MAX_SMALL_PARTS and self._size < _SMALL_BYTES * self._parts:
            self._refuse(FramingError("the answer comes in too many small chunks"))
        self._body.add(part)

    def on_message_complete(self) -> None:
        """Parser: the answer is whole."""
        if self._status >= 200 and self._answer is None:
            self._complete()

    def _complete(self) -> None:
        self._answer = Http1Response(self._status, self._headers, self._body.whole(), self._keep_alive)

    def _finish(self) -> Http1Response:
        answer, self._answer = self._answer, None
        assert answer is not None
        self._pending = False
        self._body = BodyCollector(self._max_body)
        if self._surplus:
            return msgspec.structs.replace(answer, reusable=False)
        return answer

    def _refuse(self, problem: FramingError | type[FramingError]) -> None:
        self._problem = problem if isinstance(problem, FramingError) else problem()
        raise self._problem

    def _bodiless(self) -> bool:
        return self._to_head or self._status in {204, 304}

    def _delimited(self) -> bool:
        return "content-length" in self._headers or "transfer-encoding" in self._headers
