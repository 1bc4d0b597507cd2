"""PROXY protocol, versions 1 and 2: who the client is, sent by the proxy before the client's first byte.

Source: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt. Only the source address is read; a
header is taken only where the listener requires it, because anybody could write one.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

_V1: Final = b"PROXY "
_V1_LONGEST: Final = 107
_PORT: Final = re.compile(rb"[0-9]{1,5}")
_V2: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_HEAD: Final = 16
_V2_LONGEST: Final = 4096
_V2_ADDRESSES: Final = {0x1: (4, 12), 0x2: (16, 36)}
"""Family → bytes of one address, and of the whole block of addresses and ports."""

HEADER_LONGEST: Final = _V2_HEAD + _V2_LONGEST
"""Bytes of the longest header that is taken."""


class ProxyHeaderError(Exception):
    """What came is no PROXY header."""


def parse_proxy_header(data: bytes) -> tuple[str, int] | None:
    """Read a header at the beginning of ``data``.

    Returns:
        The client's address, empty where the proxy speaks for itself or does not know, and the length of
        the header; None when more of it has to come.

    Raises:
        ProxyHeaderError: this is none.
    """
    if data.startswith(_V2):
        return _parse_v2(data)
    if data.startswith(_V1):
        return _parse_v1(data)
    if _V1.startswith(data) or _V2.startswith(data):
        return None
    raise ProxyHeaderError("no PROXY header")


def _parse_v1(data: bytes) -> tuple[str, int] | None:
    end = data.find(b"\r\n", 0, _V1_LONGEST)
    if end < 0:
        if len(data) >= _V1_LONGEST:
            raise ProxyHeaderError("the PROXY line does not end")
        return None
    fields = data[:end].split(b" ")
    if fields[1:2] == [b"UNKNOWN"]:
        return "", end + 2
    if len(fields) != 6 or fields[1] not in {b"TCP4", b"TCP6"}:
        raise ProxyHeaderError("the PROXY line is not one")
    try:
        source, destination = (ip_address(field.decode("ascii")) for field in fields[2:4])
    except ValueError:
        raise ProxyHeaderError("the PROXY line names no address") from None
    if not source.version == destination.version == int(fields[1][-1:]):
        raise ProxyHeaderError("the PROXY line names an address of another family")
    if not all(_PORT.fullmatch(field) and int(field) <= 65_535 for field in fields[4:]):
        raise ProxyHeaderError("the PROXY line names no port")
    return str(source), end + 2


def _parse_v2(data: bytes) -> tuple[str, int] | None:
    if len(data) < _V2_HEAD:
        return None
    version, command, family = data[12] >> 4, data[12] & 0xF, data[13] >> 4
    length = int.from_bytes(data[14:16], "big")
    if version != 2 or command > 1 or length > _V2_LONGEST:
        raise ProxyHeaderError("the PROXY header is not of version 2")
    if len(data) < _V2_HEAD + length:
        return None
    end = _V2_HEAD + length
    if command == 0 or family not in _V2_ADDRESSES:
        # LOCAL, or a family without addresses of the Internet: the proxy speaks for itself.
        return "", end
    size, needed = _V2_ADDRESSES[family]
    if length < needed:
        raise ProxyHeaderError("the PROXY header is shorter than its addresses")
    return str(ip_address(data[_V2_HEAD : _V2_HEAD + size])), end
