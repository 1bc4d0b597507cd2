"""IP addresses as text: one address, one spelling."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

_BRACKETS: Final = re.compile(r"\[([^\[\]]*)\](?::[0-9]{1,5})?")
_PORT: Final = re.compile(r"([^:]*):[0-9]{1,5}")
_SILENT: Final = "proxy "


def canonical(text: str) -> str:
    """Normalise one address: ports, brackets, zone ids and IPv4-in-IPv6 removed; empty if it is none."""
    text = text.strip().strip('"')
    if found := _BRACKETS.fullmatch(text) or _PORT.fullmatch(text):
        text = found[1]
    bare, percent, zone = text.partition("%")
    try:
        address = ip_address(bare)
    except ValueError:
        return ""
    if percent and (not zone or address.version == 4):
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def network(address: str) -> str:
    """Return what one client has of the addresses: one of IPv4, or a network of 64 bits of IPv6."""
    if ":" not in address:
        return address
    try:
        return str(ip_network((address, 64), strict=False))
    except ValueError:
        return address


def silent_proxy(address: str) -> str:
    """Return what a connection's peer is called that is a proxy and names no client: it is none itself."""
    return f"{_SILENT}{address}" if address else ""


def own_address(peer: str) -> tuple[str, bool]:
    """Return the canonical address of a peer, and whether it may be the client's: a silent proxy's is not."""
    address = peer.removeprefix(_SILENT)
    return canonical(address), len(address) == len(peer)
