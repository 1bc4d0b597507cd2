"""Writes small MaxMind DB files: an IPv4 tree of one node, or a tree of any networks."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

BUILT = 1_700_000_000


def mmdb(low: Any, high: Any, *, kind: str = "Test-Country", build_epoch: int = BUILT) -> bytes:
    """Return a file that answers ``low`` for 0.0.0.0/1 and ``high`` for 128.0.0.0/1."""
    return mmdb_of({"0.0.0.0/1": low, "128.0.0.0/1": high}, kind=kind, build_epoch=build_epoch, version=4)


def mmdb_of(
    records: Mapping[str, Any],
    *,
    kind: str,
    build_epoch: int = BUILT,
    version: int = 6,
    record_size: int = 24,
) -> bytes:
    """Return a file that answers each record for its network; the networks lie apart from each other.

    In one of version 6 those of IPv4 stand where MaxMind has them, behind 96 zeros.
    """
    nodes: list[list[Any]] = [[None, None]]
    data, places = b"", []
    for text, record in records.items():
        bits, node = _bits(ip_network(text), version), 0
        for bit in bits[:-1]:
            if nodes[node][bit] is None:
                nodes[node][bit] = len(nodes)
                nodes.append([None, None])
            node = nodes[node][bit]
        places.append((node, bits[-1], len(data)))
        data += _encoded(record)
    # A record's value counts from the tree's end, and sixteen bytes stand between tree and data.
    for node, bit, offset in places:
        nodes[node][bit] = len(nodes) + 16 + offset
    pairs = ([len(nodes) if each is None else each for each in node] for node in nodes)
    tree = b"".join(_node(left, right, record_size) for left, right in pairs)
    metadata = {
        "binary_format_major_version": _uint16(2),
        "binary_format_minor_version": _uint16(0),
        "build_epoch": b"\x08\x02" + build_epoch.to_bytes(8, "big"),
        "database_type": kind,
        "description": {"en": "test"},
        "ip_version": _uint16(version),
        "languages": ["en"],
        "node_count": len(nodes),
        "record_size": _uint16(record_size),
    }
    return tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + _encoded(metadata)


def _bits(network: IPv4Network | IPv6Network, version: int) -> list[int]:
    number, size = int(network.network_address), network.max_prefixlen
    bits = [number >> (size - 1 - position) & 1 for position in range(network.prefixlen)]
    return [0] * 96 + bits if version == 6 and network.version == 4 else bits


def _node(left: int, right: int, record_size: int) -> bytes:
    if record_size != 28:
        return left.to_bytes(record_size // 8, "big") + right.to_bytes(record_size // 8, "big")
    middle = (left >> 24) << 4 | right >> 24
    return (left & 0xFFFFFF).to_bytes(3, "big") + bytes([middle]) + (right & 0xFFFFFF).to_bytes(3, "big")


def _encoded(value: Any) -> bytes:
    """Control byte (type and size), then content; ``bytes`` are encoded already."""
    match value:
        case bytes():
            return value
        case str():
            return _control(2, len(value.encode())) + value.encode()
        case bool():
            return bytes([int(value), 14 - 7])
        case int():
            return bytes([6 << 5 | 4]) + value.to_bytes(4, "big")
        case list():
            return bytes([len(value), 11 - 7]) + b"".join(map(_encoded, value))
        case dict():
            items = b"".join(_encoded(key) + _encoded(item) for key, item in value.items())
            return _control(7, len(value)) + items
        case _:
            raise TypeError(type(value))


def _control(kind: int, size: int) -> bytes:
    return bytes([kind << 5 | size]) if size < 29 else bytes([kind << 5 | 29, size - 29])


def _uint16(value: int) -> bytes:
    return bytes([5 << 5 | 2]) + value.to_bytes(2, "big")
