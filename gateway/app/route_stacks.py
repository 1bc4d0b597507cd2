"""The stacks of the routes of one policy, each made when its route is first used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from gateway.core.stack import Stack
from routing.policy import Route


class RouteStacks(Mapping[str, Stack]):
    """Route → its stack; ``make`` makes it, and cannot fail where the policy is known to be good.

    A policy may have thousands of routes, of which a region uses a few. To make all stacks at once would hold
    the loop, as would the garbage collector from then on, which looks at each of their parts.
    """

    def __init__(self, routes: Iterable[Route], make: Callable[[Route], Stack]) -> None:
        self._routes = {route.name: route for route in routes}
        self._make = make
        self._made: dict[str, Stack] = {}

    def __repr__(self) -> str:
        return f"<RouteStacks, {len(self._made)} of {len(self._routes)} made>"

    def __getitem__(self, name: str) -> Stack:
        stack = self._made.get(name)
        if stack is None:
            stack = self._made[name] = self._make(self._routes[name])
        return stack

    def __iter__(self) -> Iterator[str]:
        return iter(self._routes)

    def __len__(self) -> int:
        return len(self._routes)

    def glances(self) -> Iterator[tuple[str, Stack]]:
        """Yield the stack of every route; what is made only for that is not kept."""
        for name, route in self._routes.items():
            yield name, self._made.get(name) or self._make(route)


def _no_stack(route: Route) -> Stack:
    raise KeyError(route.name)


NO_ROUTES: Final = RouteStacks((), _no_stack)
"""Those of a central tier, which has no policy."""
