"""Values of an HPACK block that begin or end with a blank, in a form that libnghttp2 takes.

It refuses such values (RFC 9113, 8.2.1), and many gRPC servers send them. So the blank at either end of a
value is exchanged for ``MARK``, which stands in no text: it is neither UTF-8 nor a letter of Latin-1. The
value keeps its length, so the dynamic tables of both sides stay the same, and what refers to them needs no
look. A value that has ``MARK`` there by itself is refused: what comes out is never taken for something else.
"""

from __future__ import annotations

from typing import Final

from gateway.http.framing import huffman
from gateway.http.framing.errors import FramingError

MARK: Final = 0xF7
_MARKED: Final = bytes([MARK])
_BLANKS: Final = b" \t"
_REFUSED: Final = 0
"""What no value may have: libnghttp2 refuses its stream, and only that."""

_EXCHANGED: Final = {_BLANKS[0]: MARK, _BLANKS[1]: MARK, MARK: _REFUSED}
_WORDS: Final = tuple((byte, *huffman.word_of(byte)) for byte in _EXCHANGED)
_PLAIN_ENDS: Final = bytes(byte in _EXCHANGED for byte in range(256))
_MOST_DECODED: Final = 4096
"""Bytes in Huffman's code that are decoded for one block. Beyond, libnghttp2 refuses blanks as always."""

_SOON: Final = 8
"""Bytes that are decoded in less time than their ends are looked at."""

_INT_BYTES: Final = 6
"""Of an integer, beyond its prefix; libnghttp2 takes fewer."""


def _last_bytes() -> bytes:
    """Which last bytes a string in Huffman's code can have that ends in one of ``_EXCHANGED``."""
    found = set()
    for _, length, word in _WORDS:
        for padding in range(8):
            ends = word << padding | (1 << padding) - 1
            known = min(8, length + padding)
            found |= {high << known & 0xFF | ends & 0xFF for high in range(1 << (8 - known))}
    return bytes(byte in found for byte in range(256))


_HUFFMAN_LAST: Final = _last_bytes()
_HUFFMAN_FIRST: Final = bytes(
    any(word >> (length - 6) == first >> 2 for _, length, word in _WORDS) for first in range(256)
)
"""Likewise for first bytes, by their first six bits."""


def marked(block: bytes) -> bytes | None:
    """Return ``block`` with the blanks at the ends of values exchanged; None when there are none.

    Raises:
        FramingError: a value that is too long to decode has ``MARK`` at an end, or seems to.
    """
    odd: list[tuple[int, int, int]] = []
    at, size = 0, len(block)
    huffman_first, huffman_last, plain = _HUFFMAN_FIRST, _HUFFMAN_LAST, _PLAIN_ENDS
    try:
        while at < size:
            kind = block[at]
            if kind > 0x7F:
                # A field of a table, which has been looked at when it came.
                at = at + 1 if kind < 0xFF else _integer(block, at, 0x7F)[1]
                continue
            if kind & 0xE0 == 0x20:
                at = _integer(block, at, 0x1F)[1]
                continue
            at = _after_name(block, at, kind)
            length = block[at]
            if length & 0x7F == 0x7F:
                begins, ends = _string(block, at)
            else:
                begins = at + 1
                ends = begins + (length & 0x7F)
            first, last = (huffman_first, huffman_last) if length > 0x7F else (plain, plain)
            if begins < ends and (first[block[begins]] or last[block[ends - 1]]):
                odd.append((at, begins, ends))
            at = ends
    except (IndexError, ValueError):
        # It is not HPACK, which libnghttp2 says better.
        return None
    return _exchanged(block, odd) if odd else None


def _after_name(block: bytes, at: int, kind: int) -> int:
    """Return where the value of the literal begins that is at ``at``, whose first byte is ``kind``."""
    mask = 0x3F if kind & 0x40 else 0x0F
    index = kind & mask
    if index == mask:
        return _integer(block, at, mask)[1]
    if index:
        return at + 1
    length = block[at + 1] & 0x7F
    return at + 2 + length if length < 0x7F else _string(block, at + 1)[1]


def _exchanged(block: bytes, odd: list[tuple[int, int, int]]) -> bytes | None:
    """Exchange the blanks of strings that may have one; each begins with its length, at the first number."""
    pieces: list[bytes] = []
    copied, budget = 0, _MOST_DECODED
    for at, begins, ends in odd:
        value = block[begins:ends]
        if block[at] > 0x7F:
            if len(value) > budget:
                if MARK in _ends(value):
                    raise FramingError("a header is too long")
                continue
            if len(value) > _SOON and not _ends(value):
                continue
            budget -= len(value)
            try:
                value = huffman.decode(value)
            except ValueError:
                return None
        if (exchanged := _exchange(value)) != value:
            pieces += (block[copied:at], _length(len(value)), exchanged)
            copied = ends
    return b"".join((*pieces, block[copied:])) if pieces else None


def unmarked(value: bytes) -> bytes:
    """Return the value as it was sent, itself if it had no blank; a tab at an end has become a blank."""
    if value[-1:] == _MARKED:
        value = value[:-1] + b" "
    return b" " + value[1:] if value[:1] == _MARKED else value


def _exchange(value: bytes) -> bytes:
    first, last = value[:1], value[-1:]
    if last and last[0] in _EXCHANGED:
        value = value[:-1] + bytes([_EXCHANGED[last[0]]])
    if len(value) > 1 and first[0] in _EXCHANGED:
        value = bytes([_EXCHANGED[first[0]]]) + value[1:]
    return value


def _ends(value: bytes) -> list[int]:
    """Return which of ``_EXCHANGED`` a string in Huffman's code has at its ends; a blank last may be none."""
    first = int.from_bytes(value[:4].ljust(4, b"\xff"), "big")
    last, size = int.from_bytes(value[-5:], "big"), 8 * len(value[-5:])
    # None of these words ends in a one, so the ones at the end are all padding.
    padding = (~last & (last + 1)).bit_length() - 1
    last >>= padding
    return [
        byte
        for byte, length, word in _WORDS
        if first >> (32 - length) == word or (length + padding <= size and last & ((1 << length) - 1) == word)
    ]


def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """Return the integer whose prefix is in ``block[at]``, and where what follows it begins."""
    value = block[at] & mask
    at += 1
    if value < mask:
        return value, at
    for shift in range(0, 7 * _INT_BYTES, 7):
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError(at)


def _string(block: bytes, at: int) -> tuple[int, int]:
    """Return where the string begins and ends whose length is at ``at``."""
    length, begins = _integer(block, at, 0x7F)
    return begins, begins + length


def _length(size: int) -> bytes:
    """Write the length of a string that is not in Huffman's code."""
    if size < 0x7F:
        return bytes([size])
    written, size = bytearray(b"\x7f"), size - 0x7F
    while size > 0x7F:
        written.append(size & 0x7F | 0x80)
        size >>= 7
    written.append(size)
    return bytes(written)
