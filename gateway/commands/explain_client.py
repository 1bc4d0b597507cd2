"""Whose request `edgeway policy explain` is about: where the client is, by its address or as it is named."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from gateway.config.document import ConfigError
from gateway.core.address import canonical
from routing.geo import GeoError, Places
from routing.geo_order import PlacesInOrder
from routing.geo_records import MAX_ASN
from routing.network_table import NetworkTable, located
from routing.place import CONTINENT_OF, Place, country_of, place_named, place_of
from routing.policy import Policy
from routing.problem import unknown

_NOT_KNOWN: Final = "place not known: every rule applies"


def add_client(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--client-country", type=_place, metavar="ISO", help="where the client is, as DE or US-CA"
    )
    parser.add_argument("--client-asn", type=_asn, metavar="NUMBER", help="its autonomous system, as 64500")
    parser.add_argument("--client-address", type=_address, default="", metavar="IP", help="the client's")
    parser.add_argument(
        "--geo",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a geo database to look --client-address up in; may be given several times",
    )


def client_of(policy: Policy, options: argparse.Namespace) -> tuple[Place | None, str]:
    """Return where the client is, and by what.

    Raises:
        ConfigError: a geo database cannot be used.
    """
    address: str = options.client_address
    try:
        databases = [Places.open(file) for file in options.geo]
    except GeoError as error:
        raise ConfigError(error.path, error.reason, field="--geo") from None
    place = located(policy.networks, PlacesInOrder(databases).locate)(address)
    source = "networks" if NetworkTable(policy.networks).find(address) else "the geo database"
    if (named := options.client_country) is not None:
        place, source = named.of_asn(place.asn if place else 0), ""
    if (asn := options.client_asn) is not None:
        place = (place or Place()).of_asn(asn)
    return place, source


def described(place: Place | None, source: str) -> str:
    """Say where a client is, and by what, where it was looked up."""
    if place is None:
        return _NOT_KNOWN
    names = [
        ", ".join(place.subdivisions) or place.country,
        place.continent and f"continent {place.continent}",
    ]
    known = ", ".join(filter(None, names)) or _NOT_KNOWN
    asn = f", AS{place.asn}" if place.asn else ""
    return f"{known}{asn}{f', by {source}' if source and known != _NOT_KNOWN else ''}"


def _place(text: str) -> Place:
    code = text.upper()
    # NA is Namibia here, as in ISO 3166, and not a continent.
    place = place_named(code) if country_of(code) else place_of(code)
    if place is None:
        raise argparse.ArgumentTypeError(unknown("ISO 3166 country", code, CONTINENT_OF))
    return place


def _asn(text: str) -> int:
    number = text.upper().removeprefix("AS")
    if not (number.isascii() and number.isdigit() and len(number) <= len(str(MAX_ASN))):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of an autonomous system, such as 64500")
    if not 0 < int(number) <= MAX_ASN:
        raise argparse.ArgumentTypeError(f"'{text}' is not within 1 and {MAX_ASN}")
    return int(number)


def _address(text: str) -> str:
    address = canonical(text)
    if text and not address:
        raise argparse.ArgumentTypeError(f"'{text}' is no IP address")
    return address
