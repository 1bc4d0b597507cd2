"""The request log: one look-up of the cache in a line of JSON. docs/operating.md has the fields for people.

It holds no input, no answer and no key of the cache: ``key`` and a hashed ``tenant`` are hashes of them under
a key that is derived from the secret of the cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import BinaryIO, Final

import msgspec

HIT: Final = "hit"
MISS: Final = "miss"
MOST_BYTES: Final = 64 << 10
"""Of a line, its end included; what is longer is passed over."""


class LoggedLookup(msgspec.Struct, frozen=True, omit_defaults=True):
    """A look-up, as the log has it. Only ``key`` and ``size`` are needed for a simulation.

    ``size``: bytes that the answer takes in L1; 0: it may not be kept, or there was none. ``time``: Unix
    seconds. ``ttl_s``: seconds that an answer stays fresh from when it is computed; 0: for ever. ``sample``:
    the share of the keys that are in the log.
    """

    key: str
    size: int
    time: float = 0.0
    outcome: str = ""
    model: str = ""
    tenant: str = ""
    ttl_s: float = 0.0
    sample: float = 1.0


class LoggedLine(msgspec.Struct, frozen=True):
    """A line by its number, from 1; without a look-up where ``problem`` says why. ``bytes``: its length."""

    number: int
    bytes: int
    lookup: LoggedLookup | None = None
    problem: str = ""


_DECODER: Final = msgspec.json.Decoder(LoggedLookup)


def read_lines(file: BinaryIO) -> Iterator[LoggedLine]:
    """Yield the lines; empty ones are passed over."""
    number = 0
    while line := file.readline(MOST_BYTES):
        number += 1
        length = len(line)
        if length == MOST_BYTES and not line.endswith(b"\n"):
            length += _skip(file)
            yield LoggedLine(number, length, problem=f"it is longer than {MOST_BYTES >> 10} KiB")
        elif line.strip():
            yield _read(number, line)


def _skip(file: BinaryIO) -> int:
    """Read to the end of a line that is too long; return how many bytes that was."""
    length = 0
    while more := file.readline(MOST_BYTES):
        length += len(more)
        if more.endswith(b"\n"):
            break
    return length


def _read(number: int, line: bytes) -> LoggedLine:
    try:
        lookup = _DECODER.decode(line)
    except (msgspec.MsgspecError, RecursionError) as error:
        return LoggedLine(number, len(line), problem=_reason(line, error))
    problem = _problem(lookup)
    return LoggedLine(number, len(line), None if problem else lookup, problem)


def _reason(line: bytes, error: Exception) -> str:
    if b'"request"' in line:
        return f"{error}: is this a log of whole requests, which `edgeway cache warm` sends?"
    return str(error) or "it is nested too deeply"


def _problem(lookup: LoggedLookup) -> str:
    if not lookup.key:
        return "`key` is empty"
    if lookup.size < 0:
        return f"`size` is {lookup.size}, below 0"
    if not 0 < lookup.sample <= 1:
        return f"`sample` is {lookup.sample:g}, not in (0, 1]"
    if not (math.isfinite(lookup.time) and math.isfinite(lookup.ttl_s) and lookup.ttl_s >= 0):
        return f"`time` is {lookup.time:g} and `ttl_s` is {lookup.ttl_s:g}: they are no points in time"
    return ""
