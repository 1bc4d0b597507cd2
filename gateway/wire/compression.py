"""Compressed bodies, with bounds both ways: 2 KiB that a client sends must not become 64 MiB of memory."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from gateway.core.errors import Fault, GatewayError
from gateway.core.tensor import Buffer

ALWAYS_ALLOWED: Final = 256 << 10
"""Bytes that any compressed body may become, however small it is: zeros shrink a thousandfold."""

MAX_DEFLATED: Final = 256 << 10
"""Larger answers go out as they are: compressing these takes some milliseconds, on the event loop."""

_WINDOWS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""Coding → zlib's window bits. HTTP's deflate is zlib's format."""

CODINGS: Final = ("gzip", "deflate")
_LEVEL: Final = 1


def allowance(size: int, limit: int, ratio: int) -> int:
    """Return how many bytes a compressed body of ``size`` may become."""
    return min(limit, max(ALWAYS_ALLOWED, ratio * size))


def inflate(body: Buffer, coding: str, limit: int, ratio: int) -> bytes:
    """Decompress ``body``.

    Args:
        body: one gzip member or one zlib stream.
        coding: ``gzip`` or ``deflate``.
        limit: bytes that it may become.
        ratio: how many times its own size it may become; 256 KiB are always allowed.

    Raises:
        GatewayError: UNSUPPORTED for another coding, TOO_LARGE beyond a bound, INVALID for what is broken.
    """
    window = _WINDOWS.get(coding.strip().lower())
    if window is None:
        raise GatewayError(Fault.UNSUPPORTED, "the body is compressed in a way that is not gzip or deflate")
    allowed = allowance(len(body), limit, ratio)
    stream = zlib.decompressobj(window)
    try:
        plain = stream.decompress(body, allowed)
        # Only reading one byte more shows whether the stream ends here.
        is_more = not stream.eof and bool(stream.decompress(stream.unconsumed_tail, 1))
    except zlib.error:
        raise GatewayError(Fault.INVALID, f"the compressed body is not valid {coding.strip()}") from None
    if is_more:
        raise GatewayError(
            Fault.TOO_LARGE, f"the compressed body becomes larger than the {allowed} bytes that it may have"
        )
    if not stream.eof or stream.unused_data:
        raise GatewayError(Fault.INVALID, f"the compressed body is not one whole {coding.strip()} stream")
    return plain


def deflate(parts: Sequence[Buffer], coding: str) -> bytes:
    """Compress a body, quickly rather than well."""
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOWS[coding])
    chunks = [stream.compress(part) for part in parts]
    chunks.append(stream.flush())
    return b"".join(chunks)


@lru_cache(
    maxsize=256
)  # clients send few different values; the bound keeps a flood of new ones from growing this
def choose_coding(accepted: str) -> str:
    """Return the coding that an Accept-Encoding prefers; empty for none."""
    best, chosen = 0.0, ""
    for part in accepted.lower().split(","):
        name, _, parameters = part.partition(";")
        weight = _weight(parameters)
        coding = CODINGS[0] if name.strip() in {"*", "x-gzip"} else name.strip()
        if coding in CODINGS and weight > best:
            best, chosen = weight, coding
    return chosen


def _weight(parameters: str) -> float:
    name, _, value = parameters.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
