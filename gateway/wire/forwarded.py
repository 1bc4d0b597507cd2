"""Who the client is when proxies stand between: the rightmost address that no trusted proxy owns."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from gateway.core.address import canonical

Network = IPv4Network | IPv6Network
_REMEMBERED: Final = 4096


class TrustedProxies:
    """Networks of proxies that are believed about the client's address."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks: tuple[Network, ...] = tuple(ip_network(network) for network in networks)
        # Peers and header lines repeat; the bound keeps a flood of new ones from growing this.
        self._remembered = lru_cache(_REMEMBERED)(self._find)
        self._trusted = lru_cache(_REMEMBERED)(self._owns)

    def __repr__(self) -> str:
        return f"<TrustedProxies {', '.join(map(str, self._networks)) or 'none'}>"

    @property
    def remembered(self) -> int:
        """Return how many pairs of a peer and its header lines are remembered."""
        return self._remembered.cache_info().currsize

    def trusts(self, peer: str) -> bool:
        """Whether the socket's peer is a trusted proxy."""
        return self._trusted(peer)

    def client(self, peer: str, forwarded: str = "") -> str:
        """Return the client's address in canonical form; empty when it cannot be known.

        Args:
            peer: the socket's peer address.
            forwarded: all X-Forwarded-For lines, joined by commas in the order they came.
        """
        if not forwarded:
            return self._remembered(peer, "")
        # A header too long to be honest is not worth remembering.
        return (self._remembered if len(forwarded) <= 256 else self._find)(peer, forwarded)

    def _find(self, peer: str, forwarded: str) -> str:
        address = canonical(peer)
        for hop in reversed(forwarded.split(",") if forwarded else []):
            if not self._owns(address):
                return address
            address = canonical(hop)
            if not address:
                # What stands left of a hop that cannot be read comes from a peer that is not trusted.
                return ""
        return address

    def _owns(self, peer: str) -> bool:
        try:
            address = ip_address(canonical(peer))
        except ValueError:
            return False
        return any(address in network for network in self._networks)
