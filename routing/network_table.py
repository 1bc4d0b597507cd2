"""The policy's own table of networks, which goes before the geo database."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from routing.conditions import Address, Locate, address_of, network_of
from routing.networks import Network
from routing.place import Place, place_named

_REMEMBERED: Final = 16_384


class NetworkEntry(NamedTuple):
    """What the table says of one network; None: nothing, the geo database may know."""

    place: Place | None
    asn: int | None

    def overrule(self, known: Place | None) -> Place | None:
        """Return where a client is whom the geo database has at ``known``."""
        place = known if self.place is None else self.place
        asn = self.asn or (0 if known is None else known.asn)
        if place is not None:
            return place.of_asn(asn)
        return Place(asn=asn) if asn else None


class NetworkTable:
    """Finds the smallest network that has an address: one step for each length of a prefix in the table.

    Raises:
        ValueError: for a network that is none.
    """

    def __init__(self, networks: Mapping[str, str | Network]) -> None:
        lengths: dict[tuple[int, int], dict[int, NetworkEntry]] = {}
        for text, given in networks.items():
            network = network_of(text)
            shift = network.max_prefixlen - network.prefixlen
            entries = lengths.setdefault((network.version, shift), {})
            entries[int(network.network_address) >> shift] = _entry(given)
        self._lengths = [(*key, lengths[key]) for key in sorted(lengths)]
        self._size = len(networks)

    def __repr__(self) -> str:
        return f"<NetworkTable of {self._size}>"

    def find(self, address: str) -> NetworkEntry | None:
        """Return what stands here of an address; None: nothing does."""
        number = address_of(address)
        return None if number is None else self._find(number)

    def _find(self, address: Address) -> NetworkEntry | None:
        version, number = address
        for of_version, shift, entries in self._lengths:
            if of_version == version and (found := entries.get(number >> shift)) is not None:
                return found
        return None


def located(networks: Mapping[str, str | Network], locate: Locate) -> Locate:
    """Return what says where clients are: ``networks`` first, then ``locate``.

    Raises:
        ValueError: for a network that is none.
    """
    if not networks:
        return locate
    find = lru_cache(_REMEMBERED)(NetworkTable(networks).find)

    def look_up(address: str) -> Place | None:
        # Remembered on both sides apart: the database may be replaced, the table is of one policy.
        known, entry = locate(address), find(address)
        return known if entry is None else entry.overrule(known)

    return look_up


def _entry(given: str | Network) -> NetworkEntry:
    network = Network(place=given) if isinstance(given, str) else given
    place = None if network.place is None else place_named(network.place)
    if place is not None and network.asn is not None:
        place = place.of_asn(network.asn)
    return NetworkEntry(place, network.asn)
