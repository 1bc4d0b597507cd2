"""Recorded requests, one in a line of JSON, as `edgeway cache warm` sends them.

A line has ``model`` and ``request``, the body that a client sends: {"inputs": [...]}. It may have
``version``, ``tenant`` and ``headers`` (those that choose a route or go on to the model). Other fields mean
nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final

import msgspec

MOST_BYTES: Final = 64 << 20
"""Of a line, its end included; what is longer is passed over."""


class RecordedRequest(msgspec.Struct, frozen=True):
    """A request as it was recorded; the tenant is empty where nobody said who they were."""

    model: str
    request: msgspec.Raw
    version: str = ""
    tenant: str = ""
    headers: Mapping[str, str] = {}


class RecordedLine(msgspec.Struct, frozen=True):
    """A line by its number, from 1; without a request where ``problem`` says why."""

    number: int
    recorded: RecordedRequest | None = None
    problem: str = ""


_DECODER: Final = msgspec.json.Decoder(RecordedRequest)


def read_lines(file: BinaryIO, first: int = 1) -> Iterator[RecordedLine]:
    """Yield the lines from the ``first``; empty ones are passed over."""
    number = 0
    while line := file.readline(MOST_BYTES):
        number += 1
        if len(line) == MOST_BYTES and not line.endswith(b"\n"):
            _skip(file)
            if number >= first:
                yield RecordedLine(number, problem=f"it is longer than {MOST_BYTES >> 20} MiB")
        elif number >= first and line.strip():
            yield _read(number, line)


def _skip(file: BinaryIO) -> None:
    """Read to the end of a line that is too long."""
    while (more := file.readline(MOST_BYTES)) and not more.endswith(b"\n"):
        pass


def _read(number: int, line: bytes) -> RecordedLine:
    try:
        recorded = _DECODER.decode(line)
    except (msgspec.MsgspecError, RecursionError) as error:
        return RecordedLine(number, problem=str(error) or "it is nested too deeply")
    if not recorded.model:
        return RecordedLine(number, problem="`model` is empty")
    return RecordedLine(number, recorded)
