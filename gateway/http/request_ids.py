"""Ids for requests that come without one (``x-request-id``), cheap enough for every answer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from random import Random
from typing import Final

HEADER: Final = b"x-request-id"

_AT_ONCE: Final = 512
_TAIL_BYTES: Final = 6


class RequestIds:
    """Makes ids in the form of a UUID of version 4, as Envoy does.

    Many share their first half, which is drawn anew with each few hundred; the second half is random, too, so
    that nobody can tell from two of his own ids how many requests of others were between them. They name
    requests and protect nothing: whoever has seen many of them may guess others.
    """

    __slots__ = ("make",)

    def __init__(self, chance: Random | None = None) -> None:
        self.make = chain.from_iterable(_blocks(chance or Random())).__next__  # noqa: S311 - no secrets
        """Returns the next id."""
        # Ids are made some hundred at a time; the first of them now, so that no request waits for it.
        self.make()

    def __repr__(self) -> str:
        return "<RequestIds>"


def _blocks(chance: Random) -> Iterator[list[bytes]]:
    while True:
        first = chance.randbytes(8).hex()
        third, fourth = chance.randbytes(2).hex()[1:], chance.randbytes(2).hex()[1:]
        head = f"{first[:8]}-{first[8:12]}-4{third}-{'89ab'[chance.getrandbits(2)]}{fourth}-".encode()
        tails = chance.randbytes(_AT_ONCE * _TAIL_BYTES).hex().encode()
        width = 2 * _TAIL_BYTES
        yield [head + tails[at : at + width] for at in range(0, len(tails), width)]


def no_id() -> bytes:
    """Return no id: they are switched off."""
    return b""
