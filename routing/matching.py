"""Which route a request takes: the first whose conditions it meets.

Most routes ask for model and tenant and nothing else. Those that ask for more are looked up by what they ask
for, so that a request tries the few that may take it, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.core.request import Request
from routing.conditions import Facts, Locate, headers_of
from routing.patterns import covers, is_name, is_prefix
from routing.place import Place
from routing.policy import ANY, Match, Policy, Route
from routing.shelves import Shelves

_REMEMBERED: Final = 4096


def _nowhere(_address: str) -> Place | None:
    return None


class Takers:
    """Who is taken by the routes of one pattern: positions of routes, the first for each tenant."""

    __slots__ = ("everybody", "tenants")

    def __init__(self) -> None:
        self.tenants: dict[str, int] = {}
        self.everybody: int | None = None

    def first(self, tenant: str) -> int | None:
        """Return the position of the first route that takes ``tenant``."""
        named, everybody = self.tenants.get(tenant), self.everybody
        if named is None or everybody is None:
            return everybody if named is None else named
        return min(named, everybody)

    def add(self, position: int, tenants: Iterable[str]) -> None:
        """Add a route that stands behind all those added before."""
        for tenant in tenants:
            if tenant == ANY:
                self.everybody = position if self.everybody is None else self.everybody
            else:
                self.tenants.setdefault(tenant, position)


class Index:
    """Patterns by what they match, in memory proportional to the policy.

    A look-up costs one step for the model's own name, one for each length that a prefix of the policy has,
    and one for each other pattern, however many routes and tenants there are.
    """

    def __init__(self) -> None:
        self._named: dict[str, Takers] = {}
        self._prefixed: dict[str, Takers] = {}
        self._lengths: set[int] = set()
        self._others: dict[str, Takers] = {}

    def add(self, position: int, match: Match) -> None:
        """Add what the route at ``position`` matches; positions grow."""
        model = match.model
        if is_prefix(model):
            prefix = model[:-1]
            self._lengths.add(len(prefix))
            takers = self._prefixed.setdefault(prefix, Takers())
        else:
            takers = (self._named if is_name(model) else self._others).setdefault(model, Takers())
        takers.add(position, match.tenants)

    def covering(self, model: str) -> list[Takers]:
        """Return the takers of every pattern that matches a model, or all that another pattern matches."""
        found = [self._prefixed.get(model[:length]) for length in self._lengths if length <= len(model)]
        covering = [takers for takers in (self._named.get(model), *found) if takers is not None]
        if self._others:
            covering += [takers for pattern, takers in self._others.items() if covers(pattern, model)]
        return covering

    def first(self, model: str, tenant: str) -> int | None:
        """Return the position of the first route for ``model`` and ``tenant``."""
        firsts = (takers.first(tenant) for takers in self.covering(model))
        return min((position for position in firsts if position is not None), default=None)


class Undecided(NamedTuple):
    """What is known of requests of one model and tenant, where conditions choose among routes.

    ``otherwise``: the route without conditions behind which no other one counts, with its position; None:
    there is none. ``first``: the first that has conditions.
    """

    end: int
    otherwise: Route | None
    first: Route


class Routes:
    """The routes of one policy.

    Where model and tenant alone decide, they are looked up once. ``locate`` says where clients are: without
    it no place is known.

    Raises:
        ValueError: for a network or a regex that is none.
    """

    def __init__(self, policy: Policy, locate: Locate = _nowhere) -> None:
        self._routes, self._tenants = policy.routes, policy.tenants.keys()
        self._locate = locate
        self._index, self._conditional = Index(), Index()
        for position, route in enumerate(policy.routes):
            (self._conditional if route.match.is_conditional else self._index).add(position, route.match)
        self._shelves = Shelves(policy)
        self.headers = headers_of(policy)
        """The headers that decide, in small letters."""
        # Names of models come from strangers: the bound keeps a flood of them from growing this.
        self._remembered = lru_cache(_REMEMBERED)(self._search)

    def __repr__(self) -> str:
        return f"<Routes {len(self._routes)} routes, {self._remembered.cache_info().currsize} remembered>"

    def at(self, locate: Locate) -> Routes:
        """Return the same routes, where ``locate`` says where clients are."""
        other = copy(self)
        other._locate = locate  # noqa: SLF001 - its own
        return other

    def find(self, model: str, tenant: str) -> Route | None:
        """Return the route for ``model`` and ``tenant``, None when there is none.

        Where conditions choose it is the one for requests that meet none; if they all have some, the first.
        """
        found = self._remembered(model, tenant)
        return (found.otherwise or found.first) if isinstance(found, Undecided) else found

    def choose(self, request: Request) -> Route | None:
        """Return the route that ``request`` takes, None when there is none."""
        found = self._remembered(request.model, request.caller.tenant)
        return self._decide(Facts(request, self._locate), found) if isinstance(found, Undecided) else found

    def choose_for_series(self, like: Request) -> Route | None:
        """Return the route of all requests that differ from ``like`` in data; None: data chooses it."""
        found = self._remembered(like.model, like.caller.tenant)
        if not isinstance(found, Undecided):
            return found
        facts = Facts(like, self._locate)
        route = self._decide(facts, found)
        return None if facts.by_input else route

    def is_alone(self, model: str, tenant: str) -> bool:
        """Whether no other tenant of the policy has a route for ``model``."""
        covering = self._index.covering(model) + self._conditional.covering(model)
        if any(takers.everybody is not None for takers in covering):
            return self._tenants == {tenant}
        return all(takers.tenants.keys() <= {tenant} for takers in covering)

    def explain(self, request: Request) -> tuple[Route | None, list[tuple[Route, str]]]:
        """Return the route of a request whose data is not known, and those before of its model and tenant.

        With each of these stands what the request lacks.
        """
        found = self._remembered(request.model, request.caller.tenant)
        if not isinstance(found, Undecided):
            return found, []
        facts = Facts(request, self._locate, has_data=False)
        passed: list[tuple[Route, str]] = []
        for conditions in self._shelves.all(found.end):
            missing = conditions.missing(facts)
            if not missing:
                return conditions.route, passed
            if missing not in {"model", "tenants"}:
                passed.append((conditions.route, missing))
        return found.otherwise, passed

    def _decide(self, facts: Facts, found: Undecided) -> Route | None:
        return self._shelves.first(facts, found.end) or found.otherwise

    def _search(self, model: str, tenant: str) -> Route | Undecided | None:
        position = self._index.first(model, tenant)
        otherwise = None if position is None else self._routes[position]
        first = self._conditional.first(model, tenant)
        if first is None or (position is not None and position < first):
            return otherwise
        end = len(self._routes) if position is None else position
        return Undecided(end, otherwise, self._routes[first])
