"""gRPC's own framing over HTTP/2: messages in a body, deadlines and statuses in headers.

A message is one byte (1: compressed), four bytes of length, and that many bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final
from urllib.parse import quote

from gateway.core.errors import Fault, GatewayError
from gateway.core.tensor import Buffer
from gateway.wire.compression import inflate
from gateway.wire.headers import MAX_TIMEOUT_S

PREFIX: Final = 5
ENCODINGS: Final = "identity,gzip,deflate"

_UNITS_S: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_PLAIN: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
_MAX_MESSAGE: Final = 1024  # characters; a status travels in a header block that clients bound to 8 KiB


class Unpacking:
    """How the messages of one call are read.

    ``limit``: bytes of one message. ``encoding``: ``grpc-encoding``, for the messages that are compressed.
    ``ratio``: how many times its size a compressed one may become.
    """

    __slots__ = ("_encoding", "_limit", "_ratio")

    def __init__(self, limit: int, ratio: int, encoding: str | None) -> None:
        self._limit, self._ratio, self._encoding = limit, ratio, encoding

    def __repr__(self) -> str:
        return f"<Unpacking {self._encoding or 'identity'}, at most {self._limit} bytes>"

    def only(self, body: Buffer) -> Buffer:
        """Return the message of a body that must hold exactly one.

        Raises:
            GatewayError: INVALID unless it does; TOO_LARGE; UNSUPPORTED for another compression.
        """
        if len(body) < PREFIX or len(body) - PREFIX != int.from_bytes(body[1:PREFIX], "big"):
            raise GatewayError(Fault.INVALID, "the call must hold exactly one whole message")
        if body[0] == 0:
            if len(body) - PREFIX > self._limit:
                raise self._too_large()
            return memoryview(body)[PREFIX:]
        return self._inflated(body[0], memoryview(body)[PREFIX:])

    async def each(self, stream: AsyncIterator[Buffer]) -> AsyncIterator[Buffer]:
        """Return the messages of a stream as they come.

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
                needed = PREFIX
                yield message if flag == 0 else self._inflated(flag, message)
        if held:
            raise GatewayError(Fault.INVALID, "the stream ends within a message")

    def _inflated(self, flag: int, message: Buffer) -> bytes:
        if flag != 1:
            raise GatewayError(Fault.INVALID, "a message begins with a byte that gRPC does not have")
        if self._encoding in {None, "identity"}:
            raise GatewayError(Fault.INVALID, "a message is compressed, but grpc-encoding does not say how")
        return inflate(message, self._encoding or "", self._limit, self._ratio)

    def _too_large(self) -> GatewayError:
        return GatewayError(Fault.TOO_LARGE, f"a message is larger than {self._limit} bytes")


def frame(parts: Sequence[Buffer]) -> list[Buffer]:
    """Return the parts of one message, its prefix joined to the first of them."""
    prefix = sum(map(len, parts)).to_bytes(PREFIX, "big")
    if not parts:
        return [prefix]
    return [prefix + bytes(parts[0]), *parts[1:]]


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
    """Write ``grpc-message``: UTF-8, percent-encoded but for printable ASCII, at most 1,024 characters."""
    return quote(text[:_MAX_MESSAGE], safe=_PLAIN, errors="replace").encode("ascii")
