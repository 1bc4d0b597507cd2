"""Cuts what an HTTP/2 peer has sent into portions, each of which is little work.

Frames are followed only as far as this needs: where the next begins, and whether it is DATA. Bytes of DATA
are free, however many they are. All others may become a thousand times as many: a byte of a head can stand
for 4 KiB.
"""

from __future__ import annotations

from typing import Final

from gateway.http.framing.http2_server import PREFACE

FEW: Final = 512
"""Bytes of a portion at most, those of DATA frames not counted, but the beginnings of all frames are."""

_HEAD: Final = 9
_KIND: Final = 3


class Http2Portions:
    """Where the frames of one connection begin: everything that comes has to pass ``skip`` or ``cut``."""

    __slots__ = ("_begun", "_is_data", "_left")

    def __init__(self) -> None:
        self._left, self._is_data, self._begun = len(PREFACE), False, b""

    def __repr__(self) -> str:
        return f"<Http2Portions, {self._left} bytes of a frame left>"

    def skip(self, data: bytes) -> None:
        """Follow the frames of what has few bytes, and is a portion as it is."""
        if self._begun:
            begins = 0
            while begins < len(data):
                begins = self.cut(data, begins)
            return
        at, last, size = self._left, -1, len(data)
        while at <= size - _HEAD:
            last = at
            at += _HEAD + (data[at] << 16 | data[at + 1] << 8 | data[at + 2])
        if last >= 0:
            self._is_data = not data[last + _KIND]
        if at < size:
            self._left, self._begun = 0, data[at:]
        else:
            self._left = at - size

    def cut(self, data: bytes, begins: int) -> int:
        """Return where the portion that begins at ``begins`` ends."""
        at, size, most = begins, len(data), FEW
        while True:
            passed = min(self._left, size - at, size if self._is_data else most)
            self._left -= passed
            at += passed
            if not self._is_data:
                most -= passed
            if at == size or most <= 0:
                return at
            head = self._begun + data[at : at + _HEAD - len(self._begun)]
            at += len(head) - len(self._begun)
            if len(head) < _HEAD:
                self._begun = head
                return at
            self._begun = b""
            self._left = int.from_bytes(head[:_KIND], "big")
            self._is_data = not head[_KIND]
            most -= _HEAD
