"""How many objects the JSON of a request would become, counted in its bytes before any of them is made.

Every value in an object has a colon, and every element of a list but the first has a comma. Text may
hold both, so where there are too many they are counted again without it.
"""

from __future__ import annotations

from typing import Final

from gateway.core.errors import Fault, GatewayError
from gateway.core.tensor import MAX_BYTES_ELEMENTS, Buffer
from gateway.wire.oip.validation import MAX_DECODED

MAX_JSON_BYTES: Final = 4 << 20
"""Of the JSON part of a request, unless the settings say otherwise: decoded JSON takes many times its size.
Binary data has no such limit."""

MAX_KEYS: Final = 16 << 10
"""Of all objects together: sixteen for each of 1,024 tensors."""

_MAX_TEXTS: Final = MAX_BYTES_ELEMENTS + 2 * MAX_KEYS
_MAX_COMMAS: Final = MAX_DECODED + MAX_KEYS
_UNCOUNTED: Final = 32 << 10
"""Bytes in which there cannot be enough of anything to hold others up."""


def check_json(json: Buffer, max_bytes: int = MAX_JSON_BYTES) -> None:
    """Refuse JSON that is more than a request of tensors can be.

    Raises:
        GatewayError: TOO_LARGE for its bytes; INVALID for too many keys, elements or texts.
    """
    if len(json) <= _UNCOUNTED:
        return
    check_length(len(json), max_bytes)
    text = bytes(json)
    if text.count(b":") <= MAX_KEYS and text.count(b",") <= _MAX_COMMAS:
        return
    bare = without_texts(text)
    if bare.count(b":") > MAX_KEYS:
        raise GatewayError(Fault.INVALID, f"the request has more than {MAX_KEYS} keys as JSON")
    if bare.count(b",") > _MAX_COMMAS:
        raise _too_many(MAX_DECODED)


def check_length(size: int, max_bytes: int) -> None:
    """Refuse more JSON than this gateway reads.

    Raises:
        GatewayError: TOO_LARGE.
    """
    if size > max_bytes:
        raise GatewayError(
            Fault.TOO_LARGE,
            f"the JSON part is larger than {max_bytes} bytes: send tensors as binary data, or have the "
            "operator raise listen.protocol.max_json_mib",
        )


def count_texts(json: bytes) -> int:
    """Return how many texts there are; where there are few, quotes within them may count as more."""
    quotes = json.count(b'"')
    if quotes > 2 * MAX_BYTES_ELEMENTS:
        quotes = without_escapes(json).count(b'"')
    return quotes // 2


def without_escapes(json: bytes) -> bytes:
    """Return JSON in which every quote begins or ends a text."""
    # In this order: a quote after two backslashes ends a text.
    return json.replace(rb"\\", b"").replace(rb"\"", b"")


def without_texts(json: bytes) -> bytes:
    """Return JSON without its texts and their quotes.

    Raises:
        GatewayError: INVALID for too many of them.
    """
    plain = without_escapes(json)
    if plain.count(b'"') > 2 * _MAX_TEXTS:
        raise _too_many(_MAX_TEXTS, "texts")
    return b"".join(plain.split(b'"')[::2])


def _too_many(most: int, what: str = "elements") -> GatewayError:
    return GatewayError(Fault.INVALID, f"the request has more than {most} {what} as JSON: send binary data")
