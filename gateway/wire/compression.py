"""Compressed bodies, with bounds both ways: 2 KiB that a client sends must not become 64 MiB of memory."""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from gateway.core.errors import Fault, GatewayError
from gateway.core.tensor import Buffer

ALWAYS_ALLOWED: Final = 256 << 10
"""Bytes that any compressed body may become, however small it is: zeros shrink a thousandfold."""

MAX_DEFLATED: Final = 256 << 10
"""Larger answers go out as they are: compressing these takes some milliseconds, on the event loop."""

_TAKEN: Final = 64 << 10
_GIVEN: Final = 256 << 10
"""Bytes that zlib takes and gives at a time: it copies them with the interpreter's lock held, and more would
hold up the event loop from any thread."""

_JOINED: Final = 1 << 20
"""Larger bodies get memory of their own, which is not copied once more."""

_WINDOWS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""Coding → zlib's window bits. HTTP's deflate is zlib's format."""

CODINGS: Final = ("gzip", "deflate")
_LEVEL: Final = 1


def allowance(size: int, limit: int, ratio: int) -> int:
    """Return how many bytes a compressed body of ``size`` may become."""
    return min(limit, max(ALWAYS_ALLOWED, ratio * size))


def inflate(body: Buffer, coding: str, limit: int, ratio: int) -> Buffer:
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
        plain = _collect(_parts(stream, body), allowed)
    except zlib.error:
        raise GatewayError(Fault.INVALID, f"the compressed body is not valid {coding.strip()}") from None
    if plain is None:
        raise GatewayError(
            Fault.TOO_LARGE, f"the compressed body becomes larger than the {allowed} bytes that it may have"
        )
    if not stream.eof or stream.unused_data:
        raise GatewayError(Fault.INVALID, f"the compressed body is not one whole {coding.strip()} stream")
    return plain


def _parts(stream: zlib._Decompress, body: Buffer) -> Iterator[bytes]:
    """Yield what the stream gives for the body, up to its end and a piece of what is behind it."""
    view = memoryview(body)
    for start in range(0, len(view), _TAKEN):
        rest: Buffer = view[start : start + _TAKEN]
        is_over = stream.eof
        while rest:
            yield stream.decompress(rest, _GIVEN)
            rest = b"" if stream.eof else stream.unconsumed_tail
        if is_over:
            return
    while not stream.eof and (part := stream.decompress(b"", _GIVEN)):
        yield part


def _collect(parts: Iterator[bytes], allowed: int) -> Buffer | None:
    """Return the parts as one; None when they are more than is allowed."""
    small, size = list[bytes](), 0
    large: mmap.mmap | None = None
    for part in parts:
        size += len(part)
        if size > allowed:
            return None
        if large is None and size > _JOINED:
            large = mmap.mmap(-1, allowed)
            large.write(b"".join(small))
            small.clear()
        if large is not None:
            large.write(part)
        else:
            small.append(part)
    return b"".join(small) if large is None else memoryview(large)[:size].toreadonly()


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
