"""Receives the body of an HTTP/1.1 request: within limits, counted, and with few copies."""

from __future__ import annotations

import numpy as np

from gateway.core.tensor import Buffer
from gateway.http.exchange import BodyPolicy
from gateway.http.server.address_limits import AddressUsage
from gateway.http.server.body_stream import BodyStream

LARGE = 64 << 10
"""A body with a larger Content-Length is written into one buffer as it comes, without the parser."""

_FULL = (503, "too many bodies are on their way; try again later")

Refusal = tuple[int, str]


class Http1Body:
    """Takes one body after the other. ``size``: bytes that have come of this one.

    Bytes are counted when they come, not when they are announced: otherwise a peer could use up the limits
    without sending anything. A refusal is a status and a message; the connection then calls ``forget``.
    """

    __slots__ = ("_counted", "_large", "_policy", "_usage", "_whole", "size", "stream")

    def __init__(self, usage: AddressUsage) -> None:
        self._usage = usage
        self._policy = BodyPolicy(0)
        self._whole: bytes | bytearray = b""
        self._large: memoryview | None = None
        self.stream: BodyStream | None = None
        self.size = self._counted = 0

    def __repr__(self) -> str:
        kind = "streamed" if self.stream is not None else "large" if self._large is not None else "whole"
        return f"<Http1Body {kind}, {self.size} bytes>"

    @property
    def is_large(self) -> bool:
        """Whether the rest is written into one buffer, without the parser."""
        return self._large is not None

    def begin(self, policy: BodyPolicy, length: int | None, stream: BodyStream | None) -> Refusal | None:
        """Begin a body of ``length`` bytes (None: not known yet), streamed if ``stream`` is given."""
        self._policy, self.stream, self.size = policy, stream, 0
        if (length or 0) > policy.max_bytes:
            return self._too_large()
        if not self._usage.has_room(length or 0, policy.max_bytes):
            return _FULL
        if stream is None and length is not None and length > LARGE:
            # Not initialised: the kernel gives memory only for the pages that are written.
            self._large = np.empty(length, np.uint8).data
        return None

    def add(self, part: Buffer) -> Refusal | None:
        """Take a part as the parser gives it out."""
        size = len(part)
        self.size += size
        if self.size > self._policy.max_bytes:
            return self._too_large()
        if self.stream is not None:
            self.stream.add(part)
        elif not self._count(size):
            return _FULL
        elif self._large is not None:
            # This is the beginning of the body, which came together with the head.
            self._large[self.size - size : self.size] = part
        else:
            self._keep(part)
        return None

    def _count(self, size: int) -> bool:
        has_room = self._usage.take(size, self._policy.max_bytes)
        if has_room:
            self._counted += size
        return has_room

    def _keep(self, part: Buffer) -> None:
        if not self._whole:
            self._whole = bytes(part)
            return
        if isinstance(self._whole, bytes):
            # One buffer: a list of chunks of two bytes would need 20 times the memory that is counted.
            self._whole = bytearray(self._whole)
        self._whole += part

    def fill(self, data: bytes) -> bytes | Refusal | None:
        """Take a piece of a large body; return what comes after the body, None while it is not complete."""
        large = self._large
        assert large is not None
        missing = len(large) - self.size
        if not self._count(min(len(data), missing)):
            return _FULL
        if len(data) < missing:
            large[self.size : self.size + len(data)] = data
            self.size += len(data)
            return None
        large[self.size :] = data if len(data) == missing else memoryview(data)[:missing]
        self.size = len(large)
        return data[missing:]

    def take(self) -> Buffer | None:
        """Return the whole body and be ready for the next; None when it was streamed, and has ended."""
        stream, whole = self.stream, self._whole if self._large is None else self._large
        self.stream, self._large, self._whole, self.size, self._counted = None, None, b"", 0, 0
        if stream is not None:
            stream.end()
            return None
        return whole if isinstance(whole, bytes) else memoryview(whole).toreadonly()

    def forget(self) -> None:
        """Drop what has come; a reader of the stream gets an error, because the rest will not come."""
        self._usage.give(self._counted)
        if self.stream is not None:
            self.stream.break_off()
        self.stream, self._large, self._whole, self.size, self._counted = None, None, b"", 0, 0

    def _too_large(self) -> Refusal:
        return 413, f"the body is larger than {self._policy.max_bytes} bytes"
