"""Looks at the header blocks of an HTTP/2 connection before libnghttp2 does: values may end in a blank.

Frames are followed as far as this needs. What is no header block, or has no such blank, is passed on as it
is. A block is held until its last byte has come: until then nobody can use it.
"""

from __future__ import annotations

import struct
from typing import Final

from gateway.http.framing.hpack_blanks import marked

CONTINUATIONS: Final = 8
"""Frames that continue a header block at most: of more, libnghttp2 ends the connection."""

_BEGINNING: Final = struct.Struct(">IB").unpack_from
_HEAD: Final = 9
_KIND: Final = 3
_FLAGS: Final = 4
_STREAM: Final = 5
_HEADERS: Final = 1
_CONTINUATION: Final = 9
_END_STREAM: Final = 0x1
_END_HEADERS: Final = 0x4
_WHOLE: Final = _END_HEADERS | _END_STREAM
_PADDED: Final = 0x8
_PRIORITY: Final = 0x20
_FRAME_BYTES: Final = 16384
"""Of a frame's payload at most: this side announces no more."""

_SHORT: Final = 128
_REMEMBERED: Final = 16
"""Blocks without such blanks that are known again: peers send the same ones all the time."""


class Http2Blanks:
    """What comes on one connection. ``begins``: bytes in front of the first frame.

    ``has_marked``: a value of this connection has had a blank exchanged, so all have to be looked at.
    """

    __slots__ = ("_continuations", "_good", "_held", "_left", "has_marked")

    def __init__(self, begins: int = 0, continuations: int = CONTINUATIONS) -> None:
        self._left, self._held, self._continuations = begins, b"", continuations
        self._good: set[bytes] = set()
        self.has_marked = False

    def __repr__(self) -> str:
        return f"<Http2Blanks, {len(self._held)} bytes held{', has marked' if self.has_marked else ''}>"

    def pass_on(self, data: bytes) -> bytes:
        """Return what libnghttp2 may have of ``data`` and what was held before.

        Raises:
            FramingError: a header cannot be taken, nor be refused in its own stream.
        """
        if self._held:
            data, self._held = self._held + data, b""
        # On the way of every request: no look at a block that is known.
        at, size, good = self._left, len(data), self._good
        while at <= size - _HEAD:
            word, flags = _BEGINNING(data, at)
            ends = at + _HEAD + (word >> 8)
            if word & 0xFF == _HEADERS:
                block = data[at + _HEAD : ends]
                # Of a block that is cut, a beginning that is known says nothing.
                if block not in good or ends > size or flags | _END_STREAM != _WHOLE:
                    if flags | _END_STREAM != _WHOLE or ends > size or marked(block) is not None:
                        return self._look(data, at)
                    if ends - at <= _SHORT:
                        self._remember(block)
            at = ends
        if at < size:
            # The beginning of a frame does not say yet what it is.
            self._left, self._held = 0, data[at:]
            return data[:at]
        self._left = at - size
        return data

    def _remember(self, block: bytes) -> None:
        if len(self._good) == _REMEMBERED:
            self._good.clear()
        self._good.add(block)

    def _look(self, data: bytes, at: int) -> bytes:
        """Pass on ``data``, in which a header block begins at ``at``."""
        pieces: list[bytes] = []
        passed, size = 0, len(data)
        while size - at >= _HEAD:
            ends = at + _HEAD + int.from_bytes(data[at : at + _KIND], "big")
            if data[at + _KIND] == _HEADERS:
                frames = self._frames(data, at)
                if frames is None:
                    break
                if frames:
                    ends = frames[-1].stop
                    if (changed := self._changed(data, frames)) is not None:
                        pieces += (data[passed:at], changed)
                        passed = ends
            at = ends
        self._left = max(0, at - size)
        whole = min(at, size)
        self._held = data[whole:]
        return b"".join((*pieces, data[passed:whole]))

    def _frames(self, data: bytes, at: int) -> list[slice] | None:
        """Return the frames of the block that begins at ``at``; None when more of them has to come.

        There are none of a block that libnghttp2 does not take.
        """
        frames: list[slice] = []
        stream = data[at + _STREAM : at + _HEAD]
        while len(data) - at >= _HEAD:
            ends = at + _HEAD + int.from_bytes(data[at : at + _KIND], "big")
            if ends > at + _HEAD + _FRAME_BYTES or len(frames) > self._continuations + 1:
                return []
            if frames and (data[at + _KIND] != _CONTINUATION or data[at + _STREAM : at + _HEAD] != stream):
                return []
            if ends > len(data):
                break
            frames.append(slice(at, ends))
            if data[at + _FLAGS] & _END_HEADERS:
                return frames
            at = ends
        return None

    def _changed(self, data: bytes, frames: list[slice]) -> bytes | None:
        """Return the frames of a block in which blanks were exchanged; None when there was none."""
        first, *others = (data[frame] for frame in frames)
        flags = first[_FLAGS]
        begins = _HEAD + bool(flags & _PADDED)
        padding = int.from_bytes(first[_HEAD:begins], "big")
        priority = first[begins : begins + (5 if flags & _PRIORITY else 0)]
        begins += len(priority)
        block = b"".join((first[begins : len(first) - padding], *(other[_HEAD:] for other in others)))
        changed = marked(block)
        if changed is None:
            return None
        self.has_marked = True
        return _framed(first[_STREAM:_HEAD], flags & (_END_STREAM | _PRIORITY), priority + changed)


def _framed(stream: bytes, flags: int, payload: bytes) -> bytes:
    frames: list[bytes] = []
    kind = _HEADERS
    for at in range(0, len(payload), _FRAME_BYTES):
        part = payload[at : at + _FRAME_BYTES]
        if at + _FRAME_BYTES >= len(payload):
            flags |= _END_HEADERS
        frames += (len(part).to_bytes(3, "big"), bytes((kind, flags)), stream, part)
        kind, flags = _CONTINUATION, 0
    return b"".join(frames)
