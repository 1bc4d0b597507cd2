"""HPACK's Huffman code (RFC 7541, 5.2): which bytes a string stands for.

The code is canonical: the lengths of its words say what they are.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

_LENGTHS: Final = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c060a0a0c0d06080b0a0a080b08060606"
    "0505050606060606060607080f060c0a0d06070707070707070707070707070707070707070707070807080d130d0e06"
    "0f05060506050606060507070606060506070605050607070707070f0b0e0d1c14161414161616171617171717171817"
    "181816171817171717151617161717181615141616171715171616181516171715151615171617171416161617161617"
    "1a1a1413161716191a1a1a1b1b1a181913151a1b1b1a1b1815151a1a1c1b1b1b14181415161515171616191918181a17"
    "1a1b1a1a1b1b1b1b1b1c1b1b1b1b1b1a"
)
"""Bits of each byte's word."""

_PADDING: Final = 7
"""Bits at the end at most, all of them ones."""

_LONGEST: Final = 30
_SORTED: Final = (*sorted((length, byte) for byte, length in enumerate(_LENGTHS)), (_LONGEST, 256))
"""All words in the order of their bits; the last one ends a string, and is in none."""


def _starts() -> list[int]:
    starts, start = [], 0
    for length, _ in _SORTED:
        starts.append(start)
        start += 1 << (_LONGEST - length)
    return starts


_STARTS: Final = _starts()
"""Each word, with zeros up to the longest."""


def word_of(byte: int) -> tuple[int, int]:
    """Return a byte's word: how many bits it has, and these as a number."""
    length = _LENGTHS[byte]
    return length, _STARTS[_SORTED.index((length, byte))] >> (_LONGEST - length)


def decode(text: bytes) -> bytes:
    """Return what ``text`` stands for. The time grows with its length: bound it.

    Raises:
        ValueError: it is not in this code.
    """
    decoded = bytearray()
    window, has, left = 0, 0, 8 * len(text)
    for piece in text + b"\xff" * 4:
        window, has = window << 8 | piece, has + 8
        while has >= _LONGEST:
            length, byte = _SORTED[bisect_right(_STARTS, window >> (has - _LONGEST)) - 1]
            if length > left:
                if left > _PADDING or window >> (has - left) != (1 << left) - 1:
                    raise ValueError(f"{left} bits are left over")
                return bytes(decoded)
            # Raises for the word that ends a string: it is no byte.
            decoded.append(byte)
            has, left = has - length, left - length
            window &= (1 << has) - 1
    raise AssertionError("unreachable: the end has no word of its own")
