"""gRPC's own framing over HTTP/2: messages in a body, deadlines and statuses in headers.

A message is one byte (1: compressed), four bytes of length, and that many bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, Protocol
from urllib.parse import quote

from gateway.core.errors import Fault, GatewayError
from gateway.core.tensor import Buffer
from gateway.wire.compression import CODINGS
from gateway.wire.headers import MAX_TIMEOUT_S

Inflate = Callable[[Buffer, str], Awaitable[Buffer]]

PREFIX: Final = 5
ENCODINGS: Final = "identity,gzip,deflate"

_UNITS_S: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_PLAIN: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
_MAX_MESSAGE: Final = 1024  # characters; a status travels in a header block that clients bound to 8 KiB


class Source(Protocol):
    """Where the messages of a stream come from."""

    def __aiter__(self) -> AsyncIterator[Buffer]:
        """Return the parts in their order, cut anywhere."""
        ...

    def within(self, size: int) -> None:
        """Take note that ``size`` bytes of a message are there and the rest is waited for; 0: of none."""
        ...


class Unpacking:
    """How the messages of one call are read.

    ``limit``: bytes of one message. ``encoding``: ``grpc-encoding``, for the messages that are compressed.
    ``inflate``: reads those, given the bytes and the encoding; it keeps to the limit by itself.
    """

    __slots__ = ("_encoding", "_inflate", "_limit")

    def __init__(self, limit: int, encoding: str | None, inflate: Inflate) -> None:
        self._limit, self._encoding, self._inflate = limit, encoding, inflate

    def __repr__(self) -> str:
        return f"<Unpacking {self._encoding or 'identity'}, at most {self._limit} bytes>"

    def plain(self, body: Buffer) -> Buffer | None:
        """Return the message of a body that must hold exactly one; None when it is compressed.

        Raises:
            GatewayError: INVALID unless it does; TOO_LARGE.
        """
        if len(body) < PREFIX or len(body) - PREFIX != int.from_bytes(body[1:PREFIX], "big"):
            raise GatewayError(Fault.INVALID, "the call must hold exactly one whole message")
        if body[0] == 0:
            if len(body) - PREFIX > self._limit:
                raise self._too_large()
            return memoryview(body)[PREFIX:]
        return None

    async def only(self, body: Buffer) -> Buffer:
        """Return the message of a body that must hold exactly one, compressed or not.

        Raises:
            GatewayError: as ``plain`` and ``inflate`` have it.
        """
        message = self.plain(body)
        return await self._inflated(body[0], memoryview(body)[PREFIX:]) if message is None else message

    async def each(self, stream: Source) -> AsyncIterator[tuple[Buffer, int]]:
        """Return the messages of a stream as they come, each with the bytes that it took on the wire.

        Raises:
            GatewayError: as ``only`` has it.
        """
        held = bytearray()
        needed = PREFIX
        async for piece in stream:
            held += piece
            while len(held) >= needed:
                size = int.from_bytes(held[1:PREFIX], "big")
                if size > self._limit:
                    raise self._too_large()
                needed = PREFIX + size
                if len(held) < needed:
                    break
                message = bytes(memoryview(held)[PREFIX:needed])
                flag = held[0]
                del held[:needed]
                needed, took = PREFIX, needed
                stream.within(0)
                yield message if flag == 0 else await self._inflated(flag, message), took
            stream.within(len(held))
        if held:
            raise GatewayError(Fault.INVALID, "the stream ends within a message")

    async def _inflated(self, flag: int, message: Buffer) -> Buffer:
        if flag != 1:
            raise GatewayError(Fault.INVALID, "a message begins with a byte that gRPC does not have")
        if self._encoding in {None, "identity"}:
            raise GatewayError(Fault.INVALID, "a message is compressed, but grpc-encoding does not say how")
        return await self._inflate(message, self._encoding or "")

    def _too_large(self) -> GatewayError:
        return GatewayError(Fault.TOO_LARGE, f"a message is larger than {self._limit} bytes")


def prefix(size: int) -> bytes:
    """Return what stands before a message of ``size`` bytes that is not compressed."""
    return size.to_bytes(PREFIX, "big")


def frame(parts: Sequence[Buffer]) -> list[Buffer]:
    """Return the parts of one message, its prefix joined to the first of them."""
    begin = sum(map(len, parts)).to_bytes(PREFIX, "big")
    if not parts:
        return [begin]
    return [begin + bytes(parts[0]), *parts[1:]]


def frame_compressed(message: Buffer) -> list[Buffer]:
    """Return the parts of one message that is compressed already."""
    return [b"\1" + len(message).to_bytes(PREFIX - 1, "big"), message]


def answer_coding(encoding: str | None, accepted: str | None) -> str:
    """Return how answers of a call may be compressed: as its messages are; empty for not at all.

    gRPC clients accept compressed answers by default: accepting them alone does not mean wanting them.
    """
    if encoding not in CODINGS or encoding not in [name.strip() for name in (accepted or "").split(",")]:
        return ""
    return encoding


def parse_timeout(value: str) -> float:
    """Return the seconds of ``grpc-timeout``.

    Raises:
        GatewayError: INVALID unless it is at most eight digits and a unit.
    """
    digits, unit = value[:-1], _UNITS_S.get(value[-1:])
    if unit is None or not (digits.isascii() and digits.isdecimal() and len(digits) <= 8):
        raise GatewayError(
            Fault.INVALID, "grpc-timeout must be at most eight digits and one of H, M, S, m, u, n"
        )
    return min(int(digits) * unit, MAX_TIMEOUT_S)


def encode_message(text: str) -> bytes:
    """Write ``grpc-message``: UTF-8, percent-encoded but for printable ASCII, at most 1,024 characters.

    So are blanks at its ends: HTTP/2 does not allow them there (RFC 9113, 8.2.1), and peers may refuse it.
    """
    text = text[:_MAX_MESSAGE]
    inner = text.strip(" ")
    begins = text.find(inner)
    ends = len(text) - begins - len(inner)
    encoded = quote(inner, safe=_PLAIN, errors="replace")
    return f"{'%20' * begins}{encoded}{'%20' * ends}".encode("ascii")
