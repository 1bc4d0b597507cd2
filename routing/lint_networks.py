"""The lint rules about networks, autonomous systems and parts of countries; ``routing.lint`` lists them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from routing.conditions import network_of
from routing.networks import Network
from routing.place import CODES, country_of
from routing.policy import Policy
from routing.problem import Path, Problem

_RESERVED: Final = frozenset({23_456, 65_535, 2**32 - 1})
"""AS_TRANS (RFC 6793) and the last ones (RFC 7300): nobody's."""

_PRIVATE: Final = (range(64_512, 65_535), range(4_200_000_000, 2**32 - 1))
"""RFC 6996."""

_MAPPED: Final = IPv6Network("::ffff:0:0/96")


def no_place(code: str) -> str:
    """Say that ``code`` names no place that a route or a network may have."""
    return f"{_neither(code)}, nor a part of one, as US-CA"


def not_residency(code: str) -> str:
    """Say that ``code`` is no place that residency and homes go by."""
    country = country_of(code)
    if country:
        return (
            f"'{code}' is a part of a country, and databases are often wrong about those: name the country "
            f"'{country}' (routes may match parts)"
        )
    return _neither(code)


def _neither(code: str) -> str:
    # What tools that write YAML 1.1 make of Norway's code.
    norway = ' (Norway is `"NO"`, in quotes where a tool writes the file)' if code.lower() == "false" else ""
    return f"'{code}' is neither a continent (AF AN AS EU NA OC SA) nor an ISO country{norway}"


def _table(policy: Policy) -> Iterator[Problem]:
    seen: dict[IPv4Network | IPv6Network, str] = {}
    for text, given in policy.networks.items():
        path: Path = ("networks", text)
        try:
            network = network_of(text)
        except ValueError:
            yield Problem("EW155", path, f"'{text}' is no network{_meant(text)}")
            continue
        if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
            yield Problem(
                "EW155", path, "clients of IPv4 are known by that address: write the network of IPv4"
            )
        if (other := seen.setdefault(network, text)) != text:
            yield Problem("EW108", path, f"is the same network as '{other}'")
        yield from _entry(path, Network(place=given) if isinstance(given, str) else given)


def _entry(path: Path, entry: Network) -> Iterator[Problem]:
    if entry.place is None and entry.asn is None:
        yield Problem("EW156", path, "says nothing: give its place, its asn, or both")
    if entry.place is not None and entry.place not in CODES and not country_of(entry.place):
        yield Problem("EW106", path, no_place(entry.place))
    if entry.asn in _RESERVED:
        yield Problem("EW158", (*path, "asn"), _reserved(entry.asn))


def _asns(policy: Policy) -> Iterator[Problem]:
    own = {given.asn for given in policy.networks.values() if isinstance(given, Network)}
    for index, route in enumerate(policy.routes):
        seen: set[int] = set()
        for position, asn in enumerate(route.match.asns):
            path: Path = ("routes", index, "match", "asns", position)
            if asn in seen:
                yield Problem("EW108", path, f"{asn} stands here twice")
            elif asn in _RESERVED:
                yield Problem("EW158", path, _reserved(asn))
            elif asn not in own and any(asn in each for each in _PRIVATE):
                yield Problem(
                    "EW255",
                    path,
                    f"{asn} is private, so no database has it: say in `networks` which addresses are its",
                )
            seen.add(asn)


def _meant(text: str) -> str:
    try:
        return f"; did you mean '{ip_network(text, strict=False)}'?"
    except ValueError:
        return ", such as 10.0.0.0/8"


def _reserved(asn: int) -> str:
    return f"{asn} is reserved: it is nobody's"


NETWORK_CHECKS: Final = (_table, _asns)
