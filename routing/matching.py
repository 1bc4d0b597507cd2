"""Which route a request takes: the first that matches its model and tenant."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from routing.policy import ANY, Match, Policy, Route

_REMEMBERED: Final = 4096


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

    A look-up costs one step for the model's own name and one for each length that a prefix of the
    policy has, however many routes and tenants there are.
    """

    def __init__(self) -> None:
        self._named: dict[str, Takers] = {}
        self._prefixed: dict[str, Takers] = {}
        self._lengths: set[int] = set()

    def add(self, position: int, match: Match) -> None:
        """Add what the route at ``position`` matches; positions grow."""
        model = match.model
        if model.endswith(ANY):
            prefix = model[:-1]
            self._lengths.add(len(prefix))
            takers = self._prefixed.setdefault(prefix, Takers())
        else:
            takers = self._named.setdefault(model, Takers())
        takers.add(position, match.tenants)

    def covering(self, model: str) -> list[Takers]:
        """Return the takers of every pattern that matches a model, or all that another pattern matches."""
        found = [self._prefixed.get(model[:length]) for length in self._lengths if length <= len(model)]
        return [takers for takers in (self._named.get(model), *found) if takers is not None]

    def first(self, model: str, tenant: str) -> int | None:
        """Return the position of the first route for ``model`` and ``tenant``."""
        firsts = (takers.first(tenant) for takers in self.covering(model))
        return min((position for position in firsts if position is not None), default=None)


class Routes:
    """The routes of one policy."""

    def __init__(self, policy: Policy) -> None:
        self._routes, self._tenants = policy.routes, policy.tenants.keys()
        self._index = Index()
        for position, route in enumerate(policy.routes):
            self._index.add(position, route.match)
        # Names of models come from strangers: the bound keeps a flood of them from growing this.
        self._remembered = lru_cache(_REMEMBERED)(self._search)

    def __repr__(self) -> str:
        return f"<Routes {len(self._routes)} routes, {self._remembered.cache_info().currsize} remembered>"

    def find(self, model: str, tenant: str) -> Route | None:
        """Return the route for ``model`` and ``tenant``, None when there is none."""
        return self._remembered(model, tenant)

    def is_alone(self, model: str, tenant: str) -> bool:
        """Whether no other tenant of the policy has a route for ``model``."""
        covering = self._index.covering(model)
        if any(takers.everybody is not None for takers in covering):
            return self._tenants == {tenant}
        return all(takers.tenants.keys() <= {tenant} for takers in covering)

    def _search(self, model: str, tenant: str) -> Route | None:
        position = self._index.first(model, tenant)
        return None if position is None else self._routes[position]


def covers(pattern: str, model: str) -> bool:
    """Whether ``pattern`` matches a model, or all that another pattern matches."""
    return pattern == model or (pattern.endswith(ANY) and model.startswith(pattern[:-1]))
