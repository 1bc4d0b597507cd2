"""Writes the smallest MaxMind DB: an IPv4 tree of one node, so one record for each half of all addresses."""

from __future__ import annotations

from typing import Any


def mmdb(low: Any, high: Any, *, kind: str = "Test-Country", build_epoch: int = 1_700_000_000) -> bytes:
    """Return a file that answers ``low`` for 0.0.0.0/1 and ``high`` for 128.0.0.0/1."""
    first = _encoded(low)
    # A record's value counts from the tree's end: one node, then sixteen bytes between tree and data.
    tree = b"".join((1 + 16 + offset).to_bytes(3, "big") for offset in (0, len(first)))
    metadata = {
        "binary_format_major_version": _uint16(2),
        "binary_format_minor_version": _uint16(0),
        "build_epoch": b"\x08\x02" + build_epoch.to_bytes(8, "big"),
        "database_type": kind,
        "description": {"en": "test"},
        "ip_version": _uint16(4),
        "languages": ["en"],
        "node_count": 1,
        "record_size": _uint16(24),
    }
    return tree + bytes(16) + first + _encoded(high) + b"\xab\xcd\xefMaxMind.com" + _encoded(metadata)


def _encoded(value: Any) -> bytes:
    """Control byte (type and size, all sizes here are below 29), then content; ``bytes`` are encoded already."""
    match value:
        case bytes():
            return value
        case str():
            return bytes([2 << 5 | len(value)]) + value.encode()
        case int():
            return bytes([6 << 5 | 4]) + value.to_bytes(4, "big")
        case list():
            return bytes([len(value), 11 - 7]) + b"".join(map(_encoded, value))
        case dict():
            items = b"".join(_encoded(key) + _encoded(item) for key, item in value.items())
            return bytes([7 << 5 | len(value)]) + items
        case _:
            raise TypeError(type(value))


def _uint16(value: int) -> bytes:
    return bytes([5 << 5 | 2]) + value.to_bytes(2, "big")
