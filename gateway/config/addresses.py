"""Addresses to listen on, as settings have them: one or a list; and which of them overlap."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from itertools import combinations
from typing import Final, NamedTuple

_ADDRESS: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>\d{1,5})")
_ALL: Final = "::"
_ALL_IPV4: Final = "0.0.0.0"  # noqa: S104 - it is looked for, not listened on


class Overlap(NamedTuple):
    """Two addresses of which one cannot be listened on: of which list the second is, and why, in words."""

    name: str
    why: str


class _Bound(NamedTuple):
    name: str
    host: str
    port: int


def listed(given: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the addresses that a setting has: none, one, or those of a list."""
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else given


def is_address(text: str) -> bool:
    """Whether it is ``HOST:PORT``; IPv6 hosts are in brackets."""
    found = _ADDRESS.fullmatch(text)
    return found is not None and int(found["port"]) <= 65_535


def host_and_port(address: str) -> tuple[str, int]:
    """Split a checked ``HOST:PORT``; IPv6 hosts lose their brackets."""
    found = _ADDRESS.fullmatch(address)
    assert found is not None, "load_settings has checked it"
    return found["host"].strip("[]"), int(found["port"])


def overlap(lists: Mapping[str, Iterable[str]]) -> Overlap | None:
    """Return the first two addresses of ``lists``, by name, of which one takes the other's place; None: none.

    Each port 0 is a port of its own. Names of hosts are compared as they are, for nobody looks them up here.
    """
    for first, second in combinations(_bound(lists), 2):
        if first.port != second.port:
            continue
        if first.host == second.host:
            where = "twice" if first.name == second.name else f"in listen.{first.name} as well"
            return Overlap(second.name, f"{second.host} with port {second.port} is listed {where}")
        for wide, other in ((first, second), (second, first)):
            if _takes(wide.host, other.host):
                return Overlap(second.name, _sentence(wide, other))
    return None


def _bound(lists: Mapping[str, Iterable[str]]) -> Iterator[_Bound]:
    for name, addresses in lists.items():
        for given, port in map(host_and_port, addresses):
            if port:
                yield _Bound(name, _one_spelling(given), port)


def _takes(wide: str, other: str) -> bool:
    """Whether who listens on ``wide`` has the address of ``other``, too."""
    return wide == _ALL or (wide == _ALL_IPV4 and ":" not in other)


def _sentence(wide: _Bound, other: _Bound) -> str:
    all_of = "all addresses, IPv4 as well" if wide.host == _ALL else "all IPv4 addresses"
    host = f"[{wide.host}]" if ":" in wide.host else wide.host
    where = "" if wide.name == other.name else f" of listen.{other.name}"
    return (
        f"{host}:{wide.port} takes {all_of}; take the others with port {wide.port} out ({other.host}{where})"
    )


def _one_spelling(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        return host.lower()
