"""The beginnings of HTTP/1.1 responses, rendered once for as long as the Date header stays the same."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from gateway.http.exchange import Fields
from gateway.http.server.date import DateClock

_MOST: Final = 256
_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_CLOSED: Final = b"HTTP/1.1 499 Client Closed Request\r\n"
"""nginx's number for a client that left, which has no phrase of its own."""


class HeadRenderer:
    """Status line, Date, Server and the fields that responses share."""

    __slots__ = ("_date", "_rendered")

    def __init__(self, date: DateClock) -> None:
        self._date = date
        self._rendered: dict[tuple[int, Fields], bytes] = {}

    def __repr__(self) -> str:
        return f"<HeadRenderer, {len(self._rendered)} rendered>"

    def render(self, status: int, fields: Fields) -> bytes:
        """Return the head up to where this response's own fields begin."""
        key = (status, fields)
        found = self._rendered.get(key)
        if found is None:
            if len(self._rendered) >= _MOST:
                self._rendered.clear()
            parts = (_LINES.get(status, _CLOSED), self._date.value, fields.lines)
            found = self._rendered[key] = b"%bdate: %b\r\nserver: edgeway\r\n%b" % parts
        return found

    def clear(self) -> None:
        """Forget what is rendered: the Date header has changed."""
        self._rendered.clear()
