"""The lint rules about the conditions of routes; ``routing.lint`` lists them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from itertools import combinations
from typing import Final

from routing.conditions import Conditions, headers_of, network_of
from routing.header_tests import header_test
from routing.lint_networks import no_place
from routing.lint_routes import has_many_patterns, take_all, tenants_of
from routing.match import Match
from routing.matching import Index
from routing.patterns import MOST_OTHERS
from routing.place import CODES, container_of, country_of
from routing.policy import ANY, Policy
from routing.problem import Path, Problem, unknown
from routing.shelves import MOST_EXPRESSIONS, placed
from routing.stickiness import header_of

MOST_TOGETHER: Final = 16
MOST_HEADERS: Final = 16
"""What is tried one by one, so that choosing a route stays within microseconds."""

_HEADER: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SECRETS: Final = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})
_OWN: Final = ("x-edgeway-", "x-forwarded-")

_Condition = tuple[str, object]
_Network = IPv4Network | IPv6Network


def _headers(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        seen: set[str] = set()
        for name in route.match.headers:
            yield from header_name(("routes", index, "match", "headers", name), name)
            if name.lower() in seen:
                yield Problem(
                    "EW142", ("routes", index, "match", "headers", name), f"'{name}' stands here twice"
                )
            seen.add(name.lower())
        if name := header_of(route.sticky_by):
            yield from header_name(("routes", index, "sticky_by"), name)
        for name, match in route.match.compared:
            path: Path = ("routes", index, "match", "headers", name)
            if len(match.given) != 1:
                given = " and ".join(match.given) or "none"
                yield Problem("EW141", path, f"one of exact, prefix, regex says how; here are {given}")
            elif match.regex is not None:
                try:
                    header_test(match)
                except ValueError as error:
                    yield Problem("EW141", (*path, "regex"), f"RE2 does not take this expression: {error}")
    if len(headers_of(policy)) > MOST_HEADERS:
        yield Problem("EW144", ("routes",), f"more than {MOST_HEADERS} headers choose routes")


def header_name(path: Path, name: str) -> Iterator[Problem]:
    """Find what keeps a header from being compared."""
    small = name.lower()
    if small in _SECRETS:
        yield Problem("EW142", path, f"'{name}' is a secret of the client's: match its tenant instead")
    elif small.startswith(_OWN):
        yield Problem("EW142", path, f"'{name}' is read by the gateway itself: match tenants or networks")
    elif not _HEADER.fullmatch(small):
        yield Problem("EW142", path, f"'{name}' cannot be the name of a header")


def _networks(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        path: Path = ("routes", index, "match", "networks")
        networks: list[tuple[_Network, int]] = []
        for position, text in enumerate(route.match.networks):
            try:
                networks.append((network_of(text), position))
            except ValueError:
                yield Problem("EW143", (*path, position), f"'{text}' is no network, such as 10.0.0.0/8")
        for position, wider in _nested(networks):
            yield Problem("EW240", (*path, position), f"is within '{wider}', which stands here too")


def _nested(networks: list[tuple[_Network, int]]) -> list[tuple[int, _Network]]:
    """Return the positions of networks that are within another one, each with that one."""
    found: list[tuple[int, _Network]] = []
    widest: _Network | None = None
    # In order of their first addresses, a wider one before what is within it.
    for network, position in sorted(networks, key=_by_beginning):
        if widest is not None and _ends(network) <= _ends(widest):
            found.append((position, widest))
        else:
            widest = network
    return sorted(found, key=lambda each: each[0])


def _by_beginning(each: tuple[_Network, int]) -> tuple[int, int, int]:
    network, _ = each
    return network.version, int(network.network_address), network.prefixlen


def _ends(network: _Network) -> tuple[int, int]:
    return network.version, int(network.network_address) + (1 << (network.max_prefixlen - network.prefixlen))


def _places(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        for position, code in enumerate(route.match.places):
            path: Path = ("routes", index, "match", "places", position)
            if code not in CODES and not country_of(code):
                yield Problem("EW106", path, no_place(code))
            elif wider := container_of(code, route.match.places):
                yield Problem("EW240", path, f"is within '{wider}', which stands here too")


def _percentages(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        if route.match.percent == 0:
            yield Problem("EW241", ("routes", index, "match", "percent"), "no request gets here")


def _numbers(policy: Policy) -> Iterator[Problem]:
    if has_many_patterns(policy):
        yield Problem(
            "EW144",
            ("routes",),
            f"more than {MOST_OTHERS} patterns are more than a prefix with '*' behind it: they are tried "
            "one by one",
        )
    try:
        conditions = {
            position: Conditions(route)
            for position, route in enumerate(policy.routes)
            if route.match.is_conditional
        }
    except ValueError:
        return  # said elsewhere
    crowd: Counter[object] = Counter()
    for position, way in placed(conditions).items():
        places: tuple[object, ...] = way or ("nowhere",)
        crowd.update(places)
        if any(crowd[place] == MOST_TOGETHER + 1 for place in places):
            yield Problem(
                "EW144",
                ("routes", position, "match"),
                f"more than {MOST_TOGETHER} routes are told apart by percent and patterns alone, or by more "
                f"than {MOST_EXPRESSIONS} expressions of one header, and are tried one by one: give them "
                "another model, tenant, version, header, place, ASN or network",
            )


def _shadowed(policy: Policy) -> Iterator[Problem]:
    """A route is dead as well behind one that asks for nothing more than it does."""
    if has_many_patterns(policy):
        return
    takers: dict[frozenset[_Condition], Index] = {}
    for position, route in enumerate(policy.routes):
        if not route.match.is_conditional:
            continue
        own = sorted(_conditions(route.match), key=str)
        for size in range(1, len(own) + 1):
            for some in combinations(own, size):
                index = takers.get(frozenset(some))
                if index is None:
                    continue
                tenants = tenants_of(policy, route)
                if tenants and take_all(index.covering(route.match.model), tenants):
                    first = index.first(route.match.model, next(iter(tenants)))
                    name = policy.routes[first].name if first is not None else "others"
                    yield Problem(
                        "EW140",
                        ("routes", position),
                        f"no request gets here: '{name}' stands before and asks for no more",
                    )
                    break
            else:
                continue
            break
        # Those that a route with a percentage leaves may go to the next.
        if route.match.percent == 100:
            takers.setdefault(frozenset(own), Index()).add(position, route.match)


def _conditions(match: Match) -> list[_Condition]:
    found: list[_Condition] = [("header " + name, each) for name, each in match.header_matches.items()]
    if match.version is not None:
        found.append(("version", match.version))
    if match.places:
        found.append(("places", frozenset(match.places)))
    if match.asns:
        found.append(("asns", frozenset(match.asns)))
    if match.networks:
        found.append(("networks", frozenset(match.networks)))
    return found


def _versions(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        path: Path = ("routes", index, "versions")
        if not route.versions:
            if route.version_override:
                yield Problem(
                    "EW147", ("routes", index, "version_override"), "there are no versions to choose"
                )
            continue
        if (total := sum(route.versions.values())) != 100:
            yield Problem("EW145", path, f"the percentages sum to {total}, not to 100")
        if route.cascade is not None:
            yield Problem("EW146", path, "a cascade is of one version: leave out one of both")
        if route.match.version is not None:
            yield Problem("EW147", path, "each request of this route names its version already")
        for version, percent in route.versions.items():
            if percent == 0 and not route.version_override:
                yield Problem("EW242", (*path, version), "no request gets it, and nobody may choose it")


def _choosers(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        for position, name in enumerate(route.version_override):
            if name not in policy.tenants and name != ANY:
                path: Path = ("routes", index, "version_override", position)
                yield Problem("EW105", path, unknown("tenant", name, policy.tenants))


MATCH_CHECKS: Final = (
    _headers,
    _networks,
    _places,
    _percentages,
    _numbers,
    _shadowed,
    _versions,
    _choosers,
)
