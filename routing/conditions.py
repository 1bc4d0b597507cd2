"""The conditions of a route, as they are tried on a request, and what can be looked up of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from gateway.core.request import Request
from routing.caching import bypass_headers
from routing.header_tests import HeaderTest, expressions_test, header_test
from routing.match import ANY, HeaderMatch, Match
from routing.patterns import is_name, is_prefix, name_test
from routing.place import Place, codes_of
from routing.policy import Policy, Route
from routing.stickiness import WHOLE, goes_by_input, header_of, key_by, salt_of, share_of

Locate = Callable[[str], Place | None]
Address = tuple[int, int]
"""4 or 6, and the address as a number."""

_Bits = tuple[int, int, int]
"""A network: 4 or 6, how many bits of an address are behind its prefix, and the bits before."""

Shelf = tuple[str, object]
"""Where something is looked up: one condition of one kind, such as one header, or prefixes of one length."""

EXPRESSION: Final = "header expression"
"""The kind of shelf where expressions stand."""

VERSION: Final = "x-edgeway-version"
"""The header by which those whom a route allows to choose a version."""

_REMEMBERED: Final = 4096
_LAST: Final = WHOLE - 1

_WITHOUT: Final[Mapping[str, object]] = {
    name: getattr(Match(), name) for name in Match.__struct_fields__ if name != "percent"
}
"""The conditions of a route that asks for nothing, apart from its percentage."""


class Facts:
    """What conditions ask of one request. What costs time is found out when it is asked first.

    Without ``has_data`` nothing is drawn by its input: such percentages take nobody.
    """

    __slots__ = (
        "_address",
        "_locate",
        "_place",
        "by_input",
        "has_data",
        "headers",
        "keys",
        "request",
        "tenant",
    )

    def __init__(self, request: Request, locate: Locate, *, has_data: bool = True) -> None:
        self.request, self._locate, self.has_data = request, locate, has_data
        self.tenant = request.caller.tenant
        self.headers: dict[str, str] = dict(request.routed)
        self.keys: dict[str, int] = {}
        self.by_input = False
        """Whether its data had a say."""
        self._place: Place | bool | None = False
        self._address: Address | bool | None = False

    def __repr__(self) -> str:
        return f"<Facts of {self.request.caller!r}>"

    @property
    def place(self) -> Place | None:
        """Where its client is; None: not known."""
        if self._place is False:
            self._place = self._locate(self.request.caller.address)
        assert not isinstance(self._place, bool)
        return self._place

    @property
    def asn(self) -> int:
        """The autonomous system of its client's address; 0: not known."""
        place = self.place
        return 0 if place is None else place.asn

    @property
    def address(self) -> Address | None:
        """Its client's address; None: not known."""
        if self._address is False:
            self._address = address_of(self.request.caller.address)
        assert not isinstance(self._address, bool)
        return self._address


class Conditions:
    """The conditions of one route.

    Raises:
        ValueError: for a network or a regex that is none.
    """

    __slots__ = (
        "_asns",
        "_draw",
        "_headers",
        "_model",
        "_names_model",
        "_networks",
        "_places",
        "_tenants",
        "_version",
        "route",
    )

    def __init__(self, route: Route) -> None:
        match = route.match
        self.route = route
        self._model = match.model
        self._names_model = None if match.model == ANY else name_test(match.model)
        self._tenants = None if ANY in match.tenants else frozenset(match.tenants)
        self._version = match.version
        self._headers: tuple[tuple[str, str, HeaderMatch, HeaderTest], ...] = tuple(
            (name, f"header {name}", each, header_test(each)) for name, each in match.header_matches.items()
        )
        self._places = frozenset(match.places)
        self._asns = frozenset(match.asns)
        self._networks = tuple(map(_bits_of, map(network_of, match.networks)))
        self._draw = Draw(route) if match.percent < 100 else None

    def __repr__(self) -> str:
        return f"<Conditions of {self.route.name}>"

    def hold(self, facts: Facts) -> bool:
        """Whether all conditions hold, those of model and tenant among them."""
        return not self.missing(facts)

    def beside(self, places: tuple[tuple[Shelf, object], ...]) -> Callable[[Facts], bool]:
        """Return what tries whatever of them ``places``, where the route was found, leaves open."""
        match = self.route.match
        given = [name for name, value in _WITHOUT.items() if getattr(match, name) != value]
        # Found by the only condition there is, or by none where there is none: a percentage is left.
        if len(given) == bool(places) and len(self._headers) <= 1:
            return _always if self._draw is None else self._draw.takes
        return self.hold

    def missing(self, facts: Facts) -> str:
        """Return the first condition that does not hold; empty: all do."""
        request = facts.request
        if self._names_model is not None and not self._names_model(request.model):
            return "model"
        if self._tenants is not None and facts.tenant not in self._tenants:
            return "tenants"
        if self._version is not None and request.version != self._version:
            return "version"
        return self._missing_of_client(facts)

    def _missing_of_client(self, facts: Facts) -> str:
        for name, missing, _, test in self._headers:
            value = facts.headers.get(name)
            if value is None or not test(value):
                return missing
        # A client whose place is not known is nowhere.
        if self._places and self._places.isdisjoint(codes_of(facts.place)):
            return "places"
        # Of what is not known it is 0, which is nobody's.
        if self._asns and facts.asn not in self._asns:
            return "asns"
        if self._networks and not _is_within(facts.address, self._networks):
            return "networks"
        # Last: only those that all else holds for are divided.
        return "" if self._draw is None or self._draw.takes(facts) else "percent"

    def lookups(self) -> Iterator[tuple[tuple[Shelf, object], ...]]:
        """Yield each condition that can be looked up as what may be found, and on which shelf."""
        if is_name(self._model):
            yield ((("model", 0), self._model),)
        elif is_prefix(self._model) and self._model != ANY:
            yield ((("prefix", len(self._model) - 1), self._model[:-1]),)
        if self._tenants is not None:
            yield tuple((("tenant", 0), name) for name in self._tenants)
        if self._version is not None:
            yield ((("version", 0), self._version),)
        for name, _, match, _ in self._headers:
            if match.exact is not None:
                yield ((("header", name), match.exact),)
            elif match.prefix is not None:
                yield ((("header prefix", (name, len(match.prefix))), match.prefix),)
            else:
                yield (((EXPRESSION, name), match.regex),)
        yield from self._lookups_of_client()

    def _lookups_of_client(self) -> Iterator[tuple[tuple[Shelf, object], ...]]:
        if self._places:
            yield tuple((("place", 0), code) for code in self._places)
        if self._asns:
            yield tuple((("asn", 0), asn) for asn in self._asns)
        if self._networks:
            yield tuple((("network", (version, shift)), bits) for version, shift, bits in self._networks)


class Draw:
    """Takes a percentage of requests, the same ones again and again."""

    __slots__ = ("_by", "_end", "_key", "_salt")

    def __init__(self, route: Route) -> None:
        self._by, self._key = route.sticky_by, key_by(route.sticky_by)
        self._salt, self._end = salt_of("percent", route.name), share_of(route.match.percent)

    def __repr__(self) -> str:
        return f"<Draw {self._end / WHOLE:.2%} by {self._by}>"

    def takes(self, facts: Facts) -> bool:
        """Whether the request is among those that are taken."""
        key = facts.keys.get(self._by)
        if key is None:
            key = facts.keys[self._by] = self._key(facts.request)
            facts.by_input |= goes_by_input(self._by, facts.request)
        if not facts.has_data and goes_by_input(self._by, facts.request):
            return False
        # ``place_of`` without a call: this is done for each of many routes.
        return key * self._salt & _LAST < self._end


def _always(_facts: Facts) -> bool:
    return True


def shelf_reader(shelf: Shelf, found: Collection[object]) -> Callable[[Facts], tuple[object, ...]]:
    """Return what reads the values of a request that may stand on ``shelf``, where ``found`` stand."""
    kind, detail = shelf
    match kind, detail:
        case "prefix", int(length):
            return lambda facts: (facts.request.model[:length],)
        case "header", str(name):
            return lambda facts: (facts.headers.get(name),)
        case "header prefix", (str(name), int(length)):
            return lambda facts: (facts.headers.get(name, "")[:length],)
        case "header expression", str(name):
            matching = expressions_test([str(each) for each in found])

            def expressions(facts: Facts) -> tuple[object, ...]:
                value = facts.headers.get(name)
                return () if value is None else matching(value)

            return expressions
        case "network", (int(version), int(bits)):

            def bits_of(facts: Facts) -> tuple[object, ...]:
                address = facts.address
                return (address[1] >> bits,) if address is not None and address[0] == version else ()

            return bits_of
        case _:
            return _PLAIN[kind]


_PLAIN: Final[Mapping[str, Callable[[Facts], tuple[object, ...]]]] = {
    "model": lambda facts: (facts.request.model,),
    "tenant": lambda facts: (facts.tenant,),
    "version": lambda facts: (facts.request.version,),
    "place": lambda facts: codes_of(facts.place),
    "asn": lambda facts: (facts.asn,),
}


def headers_of(policy: Policy) -> frozenset[str]:
    """Return the headers, in small letters, by which requests find their routes or pass the cache by."""
    found = {name.lower() for route in policy.routes for name in route.match.headers}
    found |= {name for route in policy.routes if (name := header_of(route.sticky_by))}
    if any(route.version_override for route in policy.routes):
        found.add(VERSION)
    return frozenset(found.union(*(bypass_headers(route.cache) for route in policy.routes)))


def network_of(text: str) -> IPv4Network | IPv6Network:
    """Read a network.

    Raises:
        ValueError: it is none, or has bits behind its prefix.
    """
    return IPv6Network(text) if ":" in text else IPv4Network(text)


@lru_cache(_REMEMBERED)
def address_of(text: str) -> Address | None:
    """Read an address; None: it is none. One of IPv4 inside of IPv6 is one of IPv4."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.version, int(address)


def _bits_of(network: IPv4Network | IPv6Network) -> _Bits:
    shift = network.max_prefixlen - network.prefixlen
    return network.version, shift, int(network.network_address) >> shift


def _is_within(address: Address | None, networks: tuple[_Bits, ...]) -> bool:
    if address is None:
        return False
    own, number = address
    return any(version == own and number >> shift == bits for version, shift, bits in networks)
