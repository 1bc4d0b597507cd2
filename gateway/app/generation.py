"""One policy generation: its stacks, one per route, built once and then only called."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request, Response
from gateway.core.service import Service
from routing.matching import Routes
from routing.policy import Policy


class Dispatch:
    """The Service that hands a request to the stack of its route.

    It stands below Admission, because a route is chosen by model and by the *checked* tenant.
    """

    def __init__(self, policy: Policy, stacks: Mapping[str, Service]) -> None:
        self._routes = Routes(policy)
        self._stacks = dict(stacks)

    def __repr__(self) -> str:
        return f"<Dispatch {', '.join(self._stacks) or 'no routes'}>"

    async def __call__(self, request: Request) -> Response:
        """Answer by the route's stack.

        Raises:
            GatewayError: NOT_FOUND when no route takes this model from this tenant.
        """
        route = self._routes.find(request.model, request.caller.tenant)
        if route is None:
            name = request.model if request.model.isprintable() and len(request.model) <= 80 else "that name"
            raise GatewayError(Fault.NOT_FOUND, f"Request for unknown model: '{name}' is not found")
        return await self._stacks[route.name](request)


class PolicyGeneration:
    """A policy in force, or about to be."""

    def __init__(self, number: int, service: Service, *, commit: Callable[[], None] = lambda: None) -> None:
        self._number, self._service, self._commit = number, service, commit

    def __repr__(self) -> str:
        return f"<PolicyGeneration {self._number}>"

    @property
    def number(self) -> int:
        """The generation's number."""
        return self._number

    def commit(self) -> None:
        """Take the endpoints of this generation into use."""
        self._commit()

    async def __call__(self, request: Request) -> Response:
        """Answer by the stacks of this generation."""
        return await self._service(request)


_: type[Service] = Dispatch
