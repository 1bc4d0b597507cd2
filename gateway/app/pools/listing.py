"""Who an endpoint's members are, by what its policy lists and what names lead to: a pure function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from gateway.core.address import canonical
from routing.endpoint import Endpoint, MemberAddress

MOST: Final = 1024
"""Members of one endpoint at most; more addresses of a name are left out."""


class Listed(msgspec.Struct, frozen=True):
    """One member of a list.

    ``address``: as the policy has it, HOST:PORT; ``ip``: what to connect to, empty: what its host leads to.
    """

    name: str
    address: str
    ip: str = ""
    weight: float = 1.0
    zone: str = ""


class Name(msgspec.Struct, frozen=True):
    """A DNS name with a port, to be looked up."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def names_of(definition: Endpoint) -> tuple[Name, ...]:
    """Return the names among an endpoint's ``addresses``; that of the older form ``address`` is no such."""
    found = dict.fromkeys(map(_split, (each.address for each in definition.members)))
    return (
        tuple(Name(host, port) for host, port in found if not canonical(host)) if _is_pool(definition) else ()
    )


def listed(definition: Endpoint, known: Mapping[Name, Sequence[str]]) -> tuple[Listed, ...]:
    """Return the members of an endpoint; the first of two that are called the same wins.

    ``known``: the addresses of each of its names, those that were found.
    """
    if not _is_pool(definition):
        address = definition.address
        return (Listed(address, address),)
    found: dict[str, Listed] = {}
    for entry in definition.members:
        for member in _of_entry(entry, known):
            found.setdefault(member.name, member)
    return tuple(list(found.values())[:MOST])


def _of_entry(entry: MemberAddress, known: Mapping[Name, Sequence[str]]) -> list[Listed]:
    host, port = _split(entry.address)
    weight = float(entry.weight)
    if fixed := canonical(host):
        address = _join(fixed, port)
        return [Listed(address, address, fixed, weight, entry.zone)]
    return [
        Listed(f"{host}:{port}/{address}", f"{host}:{port}", address, weight, entry.zone)
        for address in sorted(known.get(Name(host, port), ()))
    ]


def _is_pool(definition: Endpoint) -> bool:
    return bool(definition.addresses)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]").lower(), int(port)


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
