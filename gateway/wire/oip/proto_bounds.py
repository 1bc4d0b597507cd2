"""How many objects a ModelInferRequest would become, counted in its bytes before protobuf makes any of them.

Two bytes of an empty input become an object of hundreds. Fields are counted as deep as protobuf makes objects
of them here: in the message, its inputs and its outputs. Malformed bytes are not refused here:
protobuf refuses them itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.core.errors import Fault, GatewayError
from gateway.core.tensor import Buffer

MAX_FIELDS: Final = 10 << 10
"""Of a message with its inputs and outputs: ten for each of 1,024 tensors. Counting takes about 10 ms."""

MAX_PARSED_BYTES: Final = 8 << 20
"""Of all but raw contents: protobuf takes about 0.1 s for the worst of them."""

_RAW: Final = 7
_RAW_OUTPUT: Final = 6
_NESTED: Final = frozenset({5, 6})
_LENGTH: Final = 2
_FIXED: Final = {1: 8, 5: 4}
_GROUPS: Final = frozenset({3, 4})
_LONGEST_VARINT: Final = 10


def check_fields(message: Buffer) -> None:
    """Refuse a ModelInferRequest that is more than a request of tensors can be.

    Raises:
        GatewayError: INVALID for too many fields; TOO_LARGE for too much outside of ``raw_input_contents``.
    """
    view = memoryview(message)
    count, parsed = 0, len(view)
    for number, start, stop in fields(view):
        count += 1
        if number == _RAW:
            parsed -= stop - start
        elif number in _NESTED and stop - start <= MAX_PARSED_BYTES:
            for _ in fields(view[start:stop]):
                count += 1
                if count > MAX_FIELDS:
                    break
        if count > MAX_FIELDS:
            raise GatewayError(Fault.INVALID, f"the message has more than {MAX_FIELDS} fields")
    if parsed > MAX_PARSED_BYTES:
        raise GatewayError(
            Fault.TOO_LARGE,
            f"the message has more than {MAX_PARSED_BYTES} bytes outside of raw_input_contents: send tensors "
            "there",
        )


def without_raw_outputs(message: Buffer) -> tuple[bytes, list[memoryview]] | None:
    """Cut a ModelInferResponse into what is not raw, and its raw contents; None: it cannot be followed.

    Malformed bytes are left for protobuf to refuse.
    """
    view = memoryview(message)
    head: list[memoryview] = []
    raws: list[memoryview] = []
    end = 0
    for number, start, stop in fields(view):
        if number == _RAW_OUTPUT:
            raws.append(view[start:stop])
        else:
            head.append(view[end:stop])
        end = stop
        if len(head) + len(raws) > MAX_FIELDS:
            return None
    return (b"".join(head), raws) if end == len(view) else None


def fields(view: memoryview) -> Iterator[tuple[int, int, int]]:
    """Give each field's number and where its content begins and ends, as far as they can be followed."""
    position, end = 0, len(view)
    while position < end:
        tag, position = _varint(view, position)
        kind = tag & 7
        stop = position
        if kind == _LENGTH:
            size, position = _varint(view, position)
            stop = position + size
        elif kind in _FIXED:
            stop = position + _FIXED[kind]
        elif kind == 0:
            _, stop = _varint(view, position)
        elif kind not in _GROUPS:
            return
        if position < 0 or not 0 <= stop <= end:
            return
        yield tag >> 3, position, stop
        position = stop


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    """Return a number and where it ends; -1 where it does not."""
    value = shift = 0
    for place in range(position, min(position + _LONGEST_VARINT, len(view)) if position >= 0 else 0):
        octet = view[place]
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return value, place + 1
        shift += 7
    return 0, -1
