"""Which stack a request takes: that of its route."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.core.catalog import unknown_model
from gateway.core.request import Request, Response
from gateway.core.service import FastPath, Pending, Service
from gateway.core.stack import Stack
from routing.matching import Routes


class RouteDispatch:
    """The Service that hands a request to the stack of its route.

    It stands below Admission, because a route is chosen by model and by the *checked* tenant.
    """

    def __init__(self, routes: Routes, stacks: Mapping[str, Stack]) -> None:
        self._routes = routes
        self._stacks = stacks
        self._entries: dict[str, Service] = {}

    def __repr__(self) -> str:
        return f"<RouteDispatch {', '.join(self._stacks) or 'no routes'}>"

    def __call__(self, request: Request) -> Response | Pending:
        """Answer by the route's stack.

        Raises:
            GatewayError: NOT_FOUND when no route takes the request.
        """
        route = self._routes.choose(request)
        if route is None:
            raise unknown_model(request.model)
        entry = self._entries.get(route.name)
        if entry is None:
            # The first request of this route: its stack may have to be made.
            entry = self._entries[route.name] = self._stacks[route.name].entry
        return entry(request)

    def fast_path(self, like: Request) -> FastPath | None:
        """Return the path of the route's stack; None where data chooses the route."""
        route = self._routes.choose_for_series(like)
        return None if route is None else self._stacks[route.name].fast_path(like)


_: type[Service] = RouteDispatch
