"""Replies of Redis, read within bounds: a server that lies costs its connection and nothing else.

Of the Redis protocol (RESP2) this reads the kinds that our commands can get back, each only where it is
expected: a status line, an error line, an integer, and a bulk string of a bounded length. An array that
was not asked for, a map or a push is refused at its first line, before its announced length has cost
anything; so is a line without an end, and a reply that nobody has asked for. What is held is never more
than one reply of the largest size and what came in the same read.
"""

from __future__ import annotations

import enum
from typing import Final

LINE_BYTES: Final = 4096
"""The longest line: Redis's own errors are a tenth of it."""

_ERROR: Final = ord("-")
_ABSENT: Final = -1
_END: Final = b"\r\n"
_MOST_DIGITS: Final = 19

Word = bytes | str | int


class Kind(enum.IntEnum):
    """The kind of reply that a command gets if it gets no error, as the first byte of the reply.

    Of an array, which only questions about where Redis is ask for, the reply is the number of its elements,
    or None; they are replies of their own.
    """

    STATUS = ord("+")
    INTEGER = ord(":")
    BULK = ord("$")
    ARRAY = ord("*")


class Incomplete(enum.Enum):
    """What there is instead of a reply that has not come in full."""

    INCOMPLETE = enum.auto()


INCOMPLETE: Final = Incomplete.INCOMPLETE


class ReplyError(Exception):
    """Redis refused a command. ``code`` is the first word of its reason: READONLY, WRONGTYPE, OOM, ..."""

    def __init__(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        super().__init__(text)
        self.code = text.partition(" ")[0]


class ProtocolError(Exception):
    """What came is no reply that our commands can get, so nothing that follows can be believed either."""


Reply = bytes | int | ReplyError | None
"""A status or a bulk string, an integer, an error, or None: the bulk string does not exist."""


class ReplyReader:
    """Takes bytes as they come and gives replies, of bulk strings at most ``max_bulk_bytes``."""

    def __init__(self, max_bulk_bytes: int) -> None:
        self._max_bulk_bytes = max_bulk_bytes
        self._buffer = bytearray()
        self._start = 0
        self._bulk_bytes = -1

    def __repr__(self) -> str:
        return f"<ReplyReader {len(self._buffer) - self._start} bytes unread>"

    @property
    def is_empty(self) -> bool:
        """Whether everything that came has been given out as replies."""
        return self._start == len(self._buffer) and self._bulk_bytes < 0

    def feed(self, data: bytes) -> None:
        """Take what came."""
        if self._start:
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data

    def next(self, kind: Kind) -> Reply | Incomplete:
        """Return the next reply, which is of ``kind`` or an error.

        Raises:
            ProtocolError: it is neither, or out of bounds. Nothing can be read after that.
        """
        if self._bulk_bytes >= 0:
            return self._bulk()
        line = self._line()
        if line is None:
            return INCOMPLETE
        if line[0] == _ERROR:
            return ReplyError(line[1:])
        if line[0] != kind:
            raise ProtocolError(f"a reply that begins with {line[:1]!r} and not with {bytes([kind])!r}")
        if kind is Kind.STATUS:
            return line[1:]
        number = _integer(line[1:])
        if kind is Kind.ARRAY:
            return None if number == _ABSENT else number
        return number if kind is Kind.INTEGER else self._begin_bulk(number)

    def _line(self) -> bytes | None:
        start = self._start
        end = self._buffer.find(_END, start, start + LINE_BYTES)
        if end < 0:
            if len(self._buffer) - start >= LINE_BYTES:
                raise ProtocolError(f"a line of more than {LINE_BYTES} bytes")
            return None
        if end == start:
            raise ProtocolError("an empty line")
        self._start = end + len(_END)
        return bytes(self._buffer[start:end])

    def _begin_bulk(self, size: int) -> bytes | Incomplete | None:
        if size == _ABSENT:
            return None
        if not 0 <= size <= self._max_bulk_bytes:
            raise ProtocolError(f"a string of {size} bytes, where {self._max_bulk_bytes} are the most")
        self._bulk_bytes = size
        return self._bulk()

    def _bulk(self) -> bytes | Incomplete:
        end = self._start + self._bulk_bytes
        after = end + len(_END)
        if len(self._buffer) < after:
            return INCOMPLETE
        if self._buffer[end:after] != _END:
            raise ProtocolError("a string that is longer than announced")
        value = bytes(memoryview(self._buffer)[self._start : end])
        self._start, self._bulk_bytes = after, -1
        return value


def pack(*words: Word) -> bytes:
    """Return a command as Redis reads it."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        text = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n" % len(text))
        parts.append(text)
        parts.append(_END)
    return b"".join(parts)


def _integer(digits: bytes) -> int:
    magnitude = digits.removeprefix(b"-")
    if not magnitude.isdigit() or len(magnitude) > _MOST_DIGITS:
        raise ProtocolError("a number that is none")
    return int(digits)
