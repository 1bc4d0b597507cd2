"""IP addresses as text: one address, one spelling."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address


def canonical(text: str) -> str:
    """Normalise one address: ports, brackets, zone ids and IPv4-in-IPv6 removed; empty if it is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)
