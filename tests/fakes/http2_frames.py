"""Frames of HTTP/2 by hand: what no library would send.

Example::

    server.feed(BEGIN + headers(1, POST, end=False) + data(1, b"body", end=True))
    [frame.kind for frame in frames(server.output(1 << 20))]
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from gateway.http.framing.huffman import word_of

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8

Pair = tuple[bytes, bytes]
POST: list[Pair] = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/x"), (b":authority", b"far")]


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        """The error of RST_STREAM or GOAWAY."""
        offset = 4 if self.kind == GOAWAY else 0
        return int.from_bytes(self.payload[offset : offset + 4], "big")


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def frames(data: bytes) -> list[Frame]:
    """The whole frames at the beginning of ``data``."""
    found = []
    while len(data) >= 9 and len(data) >= 9 + (size := int.from_bytes(data[:3], "big")):
        kind, flags, stream = struct.unpack(">BBI", data[3:9])
        found.append(Frame(kind, flags, stream, data[9 : 9 + size]))
        data = data[9 + size :]
    return found


def _integer(value: int, bits: int, first: int = 0) -> bytes:
    most = (1 << bits) - 1
    if value < most:
        return bytes((first | value,))
    value -= most
    received = bytearray((first | most,))
    while value >= 128:
        received.append(value % 128 + 128)
        value //= 128
    received.append(value)
    return bytes(received)


def literal(name: bytes, value: bytes, *, indexed: bool = False) -> bytes:
    """A field in HPACK, without Huffman; ``indexed``: into the dynamic table."""
    first = b"\x40" if indexed else b"\x00"
    return first + _integer(len(name), 7) + name + _integer(len(value), 7) + value


def block(pairs: Iterable[Pair]) -> bytes:
    return b"".join(literal(*pair) for pair in pairs)


def headers(stream: int, pairs: Iterable[Pair] = POST, *, end: bool = True, more: bytes = b"") -> bytes:
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(pairs) + more)


def data(stream: int, payload: bytes, *, end: bool = False) -> bytes:
    return frame(DATA, END_STREAM if end else 0, stream, payload)


def reset(stream: int, code: int = 8) -> bytes:
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def window(stream: int, size: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", size))


def setting(number: int, value: int) -> bytes:
    return struct.pack(">HI", number, value)


BEGIN = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS)
"""The preface, and SETTINGS that change nothing."""


def coded(text: bytes) -> bytes:
    """``text`` in HPACK's Huffman code."""
    bits = "".join(f"{word:0{length}b}" for length, word in map(word_of, text))
    bits += "1" * (-len(bits) % 8)
    return int("1" + bits, 2).to_bytes(len(bits) // 8 + 1, "big")[1:]


def coded_literal(name: bytes, value: bytes, *, indexed: bool = False) -> bytes:
    """As ``literal``, with Huffman."""
    first = b"\x40" if indexed else b"\x00"
    name, value = coded(name), coded(value)
    return first + _integer(len(name), 7, 0x80) + name + _integer(len(value), 7, 0x80) + value
