"""The search tree of a MaxMind DB: which record an address has, without reading the record.

To read one takes the reader in C longer than all else, for it makes every name in eight languages; and many
addresses share one. So the record is found here, and read only if it has not been read before.
"""

from __future__ import annotations

from collections.abc import Callable
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final, Protocol

_MOST_STARTS: Final = 16_384
_HEAD_BITS: Final = {32: 16, 128: 32}
"""Bits of an address whose part of the way is remembered, by the bits that the address has."""

Walk = Callable[[int, int, int], int]
"""Takes a node, a number, and how many bits of it are left; returns a node, or what stands for a record."""


class Bytes(Protocol):
    """What is read: a mapped file, or bytes."""

    def __getitem__(self, index: int, /) -> int:
        """Return one byte."""
        ...


class SearchTree:
    """Finds what stands for the record of an address; one walk has as many steps as the address has bits.

    Args:
        content: the file.
        node_count: how many nodes it has.
        record_size: 24, 28 or 32 bits, which each half of a node has.
        ip_version: 4, or 6: then the addresses of IPv4 are behind 96 zeros.

    Raises:
        ValueError: for another record size.
        IndexError: the file is shorter than it says.
    """

    def __init__(self, content: Bytes, node_count: int, record_size: int, ip_version: int) -> None:
        self._count, self._walk = node_count, _walk_of(content, node_count, record_size)
        self._has_ipv6 = ip_version == 6
        self._starts: dict[tuple[int, int], int] = {}
        self._ipv4 = self._walk(0, 0, 96) if self._has_ipv6 else 0

    def __repr__(self) -> str:
        return f"<SearchTree of {self._count} nodes, {len(self._starts)} starts remembered>"

    def record_of(self, address: str) -> int | None:
        """Return what stands for the record of an address, a number of its own for each; None: it has none.

        Raises:
            OSError: it is no address.
            ValueError: the tree has more levels than an address has bits.
            IndexError: it leads out of the file.
        """
        if ":" not in address:
            packed = inet_pton(AF_INET, address)
        elif self._has_ipv6:
            packed = inet_pton(AF_INET6, address)
        else:
            return None
        size = len(packed) * 8
        rest = size - _HEAD_BITS[size]
        number = int.from_bytes(packed, "big")
        head = number >> rest
        node = self._starts.get((size, head))
        if node is None:
            node = self._start(size, head)
        if node < self._count:
            node = self._walk(node, number, rest)
        if node < self._count:
            raise ValueError("the tree has no end")
        return None if node == self._count else node

    def _start(self, size: int, head: int) -> int:
        node = self._walk(self._ipv4 if size == 32 else 0, head, _HEAD_BITS[size])
        if len(self._starts) >= _MOST_STARTS:
            self._starts.clear()
        self._starts[size, head] = node
        return node


def _walk_of(content: Bytes, count: int, record_size: int) -> Walk:
    """Return how to go on from a node by the last bits of a number, to a record at most.

    A step is a few index operations; a function call for each would be half of what a look-up takes.
    """

    def by_24(node: int, number: int, bits: int) -> int:
        while bits and node < count:
            bits -= 1
            at = node * 6 + (3 if number >> bits & 1 else 0)
            node = content[at] << 16 | content[at + 1] << 8 | content[at + 2]
        return node

    def by_28(node: int, number: int, bits: int) -> int:
        while bits and node < count:
            bits -= 1
            at, middle = node * 7, content[node * 7 + 3]
            if number >> bits & 1:
                at, middle = at + 4, middle << 4
            node = (middle & 0xF0) << 20 | content[at] << 16 | content[at + 1] << 8 | content[at + 2]
        return node

    def by_32(node: int, number: int, bits: int) -> int:
        while bits and node < count:
            bits -= 1
            at = node * 8 + (4 if number >> bits & 1 else 0)
            high = content[at] << 24 | content[at + 1] << 16
            node = high | content[at + 2] << 8 | content[at + 3]
        return node

    walks: dict[int, Walk] = {24: by_24, 28: by_28, 32: by_32}
    if record_size not in walks:
        raise ValueError(f"a record size of {record_size} bits")
    return walks[record_size]
