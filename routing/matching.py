"""Which route a request takes: the first that matches its model and tenant."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from routing.policy import ANY, Match, Policy, Route

_REMEMBERED: Final = 1024


class Routes:
    """The routes of one policy. Models named in full are looked up; prefixes are searched once."""

    def __init__(self, policy: Policy) -> None:
        self._routes = policy.routes
        models = {route.match.model for route in policy.routes}
        self._exact: dict[tuple[str, str], Route | None] = {
            (model, tenant): self._search(model, tenant)
            for model in models
            if not model.endswith(ANY)
            for tenant in policy.tenants
        }
        # Names of models come from strangers: the bound keeps a flood of them from growing this.
        self._remembered = lru_cache(_REMEMBERED)(self._search)

    def __repr__(self) -> str:
        remembered = self._remembered.cache_info().currsize
        return f"<Routes {len(self._routes)} routes, {len(self._exact)} exact, {remembered} remembered>"

    def find(self, model: str, tenant: str) -> Route | None:
        """Return the route for ``model`` and ``tenant``, None when there is none."""
        route = self._exact.get((model, tenant))
        return route if route is not None else self._remembered(model, tenant)

    def _search(self, model: str, tenant: str) -> Route | None:
        for route in self._routes:
            if covers(route.match.model, model) and takes(route.match, tenant):
                return route
        return None


def covers(pattern: str, model: str) -> bool:
    """Whether ``pattern`` matches a model, or all that another pattern matches."""
    return pattern == model or (pattern.endswith(ANY) and model.startswith(pattern[:-1]))


def takes(match: Match, tenant: str) -> bool:
    """Whether the match is for ``tenant``."""
    return ANY in match.tenants or tenant in match.tenants
