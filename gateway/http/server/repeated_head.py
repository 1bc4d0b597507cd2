"""A client that sends the same head again gets the same ``Head``, with what applications noted on it."""

from __future__ import annotations

from typing import Protocol

from gateway.http.exchange import Head


class ParsedHead(Protocol):
    """A head as a framing gives it out; one that is repeated is the same object again."""

    @property
    def method(self) -> str:
        """The request's method."""
        ...

    @property
    def path(self) -> str:
        """The path with its query."""
        ...

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers in their order."""
        ...


class RepeatedHead:
    """The last head of one connection. ``peer`` is that of ``exchange.Head``."""

    __slots__ = ("_head", "_is_http2", "_parsed", "_peer")

    def __init__(self, peer: str, *, is_http2: bool = False) -> None:
        self._peer, self._is_http2 = peer, is_http2
        self._parsed: ParsedHead | None = None
        self._head = Head("", "", ())

    def __repr__(self) -> str:
        return f"<RepeatedHead {self._head.method} {self._head.path}>"

    def of(self, parsed: ParsedHead) -> Head:
        """Return the head that ``parsed`` stands for."""
        if parsed is not self._parsed:
            self._head = Head(parsed.method, parsed.path, parsed.headers, self._peer, self._is_http2)
            self._parsed = parsed
        return self._head
