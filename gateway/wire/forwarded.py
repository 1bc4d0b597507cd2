"""Who the client is when proxies stand between: the rightmost address that no trusted proxy owns."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from gateway.core.address import canonical, own_address

Network = IPv4Network | IPv6Network
_REMEMBERED: Final = 4096


class TrustedProxies:
    """Networks of proxies that are believed about the client's address."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks: tuple[Network, ...] = tuple(ip_network(network) for network in networks)
        # Peers and header lines repeat; the bound keeps a flood of new ones from growing this.
        self._remembered = lru_cache(_REMEMBERED)(self._find)
        self._trusted = lru_cache(_REMEMBERED)(self._is_trusted)

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

        A trusted proxy is no client: where it names nobody, or itself and others like it alone, nothing is
        known of who is behind it.

        Args:
            peer: the socket's peer address.
            forwarded: all X-Forwarded-For lines, joined by commas in the order they came.
        """
        if not forwarded:
            return self._remembered(peer, "")
        # A header too long to be honest is not worth remembering.
        return (self._remembered if len(forwarded) <= 256 else self._find)(peer, forwarded)

    def _find(self, peer: str, forwarded: str) -> str:
        address, may_be_client = own_address(peer)
        if not self._owns(address):
            return address if may_be_client else ""
        for hop in reversed(forwarded.split(",")):
            address = canonical(hop)
            if not self._owns(address):
                # What stands left of a hop that cannot be read comes from a peer that is not trusted.
                return address
        return ""

    def _is_trusted(self, peer: str) -> bool:
        return self._owns(own_address(peer)[0])

    def _owns(self, address: str) -> bool:
        """Whether a canonical address is a proxy's; no address is nobody's."""
        if not address:
            return False
        parsed = ip_address(address)
        return any(parsed in network for network in self._networks)
