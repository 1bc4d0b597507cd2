"""Ids of entities, as a request's key input holds them, read within bounds. What is wrong is the caller's."""

from __future__ import annotations

from typing import Final

from gateway.core.errors import Fault, GatewayError, printable
from gateway.core.tensor import BYTES, Tensor, element_count, split_bytes

MOST_ID_BYTES: Final = 512


def entities_of(tensor: Tensor, datatype: str, most: int) -> list[bytes]:
    """Return the ids in ``tensor``, of which there are ``most`` at most. A number is its decimal digits.

    Raises:
        GatewayError: INVALID, TOO_LARGE: says which element is wrong and what an id may be.
    """
    name = printable(tensor.name)
    if tensor.datatype != datatype:
        raise _invalid(f"input '{name}' names entities, as {datatype}, and is {printable(tensor.datatype)}")
    count = element_count(tensor.shape)
    if count < 1 or not tensor.shape or min(tensor.shape) < 1:
        raise _invalid(f"input '{name}' names no entity")
    if count > most:
        raise GatewayError(
            Fault.TOO_LARGE,
            f"input '{name}' names {count:,} entities, and one request may name {most:,}: send several",
        )
    if tensor.datatype != BYTES:
        return [b"%d" % number for number in tensor.numpy().ravel().tolist()]
    ids = split_bytes(tensor.data)
    if len(ids) != count:
        raise _invalid(f"input '{name}' does not hold the {count} BYTES elements of its shape")
    for place, each in enumerate(ids):
        if problem := _problem(each):
            raise _invalid(f"element {place} of input '{name}' is no id of an entity: {problem}")
    return ids


def vectors_shape(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    """Return the shape of one vector for each id of a key of ``shape``: [n] and [n, 1] become [n, size]."""
    if len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return (*shape, size)


def _problem(each: bytes) -> str:
    if not each:
        return "it is empty"
    if len(each) > MOST_ID_BYTES:
        return f"it has {len(each):,} bytes, and {MOST_ID_BYTES} are the most"
    try:
        each.decode()
    except UnicodeDecodeError:
        return "it is not UTF-8"
    return ""


def _invalid(message: str) -> GatewayError:
    return GatewayError(Fault.INVALID, message)
