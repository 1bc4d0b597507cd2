"""What keeps equal requests together where a percentage divides them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final

from blake3 import blake3

from gateway.core.request import SEQUENCE, Request
from gateway.core.tensor import Buffer
from routing.match import INPUT
from routing.rules.sticky import sequence_key

HEADER: Final = "header:"

_WHOLE_BYTES: Final = 64 << 10
_PART_BYTES: Final = 1 << 10
_PARTS: Final = 32

WHOLE: Final = 1 << 64
"""The places that a key can have where something is divided."""

Key = Callable[[Request], int]
"""Returns 64 bits that are equal for requests that belong together."""


def header_of(sticky_by: str) -> str:
    """Return the header that ``Route.sticky_by`` names, in small letters; empty: none."""
    return sticky_by[len(HEADER) :].lower() if sticky_by.startswith(HEADER) else ""


def key_by(sticky_by: str) -> Key:
    """Return what reads the key that ``Route.sticky_by`` names.

    A sequence has one whatever is named. A request without the header, and one of nobody's, goes by its
    input.
    """
    header = header_of(sticky_by)

    def key(request: Request) -> int:
        if SEQUENCE in request.parameters:
            return _number(sequence_key(request))
        if sticky_by == "tenant" and (name := request.caller.claimed or request.caller.holder):
            return _number(name.encode(errors="surrogatepass"))
        if header and (value := dict(request.routed).get(header)):
            return _number(value.encode(errors="surrogatepass"))
        return of_input(request)

    return key


def goes_by_input(sticky_by: str, request: Request) -> bool:
    """Whether the key of a request depends on its data."""
    if SEQUENCE in request.parameters:
        return False
    if sticky_by == INPUT:
        return True
    if sticky_by == "tenant":
        return not (request.caller.claimed or request.caller.holder)
    return not dict(request.routed).get(header_of(sticky_by))


def of_input(request: Request) -> int:
    """Return the key of a request's model and inputs. Of long inputs parts are looked at, evenly spaced.

    Shapes are not: inputs of the same bytes may stay together.
    """
    digest = blake3(request.model.encode(errors="surrogatepass"))
    tensors = request.inputs
    for tensor in tensors if len(tensors) < 2 else sorted(tensors, key=lambda tensor: tensor.name):
        # With lengths, no two lists of inputs are one.
        head = f"{len(tensor.name)}:{tensor.name}{tensor.datatype}{len(tensor.data)}:"
        digest.update(head.encode(errors="surrogatepass"))
        for part in _parts(tensor.data):
            digest.update(part)
    return int.from_bytes(digest.digest(8), "big")


def place_of(key: int, salt: int) -> int:
    """Return where in [0, ``WHOLE``) a key stands for one who draws with ``salt``; for others elsewhere.

    Keys are digests, so they are equally distributed, and an odd factor only permutes them. For two factors
    at random the pairs of places are as good as independent: any dependence needs small numbers m and n for
    which m times the one and n times the other are equal modulo 2⁶⁴.
    """
    return key * salt & (WHOLE - 1)


def share_of(percent: float) -> int:
    """Return the end of the places that belong to the first ``percent``."""
    return round(percent * WHOLE / 100)


def salt_of(purpose: str, name: str) -> int:
    """Return the salt of one who draws, an odd number."""
    return _number(f"{purpose} {name}".encode(errors="surrogatepass")) | 1


def _number(text: bytes) -> int:
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


def _parts(data: Buffer) -> Sequence[Buffer]:
    size = len(data)
    if size <= _WHOLE_BYTES:
        return (data,)
    view, step = memoryview(data), (size - _PART_BYTES) // (_PARTS - 1)
    return [view[begin : begin + _PART_BYTES] for begin in range(0, step * _PARTS, step)]
