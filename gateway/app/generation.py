"""A generation as a value, and the one holder of the generation in force.

Listeners know a generation as a ``gateway.core.service.NumberedService``. ``InForce`` holds the one that is
in force: listeners, the catalog, endpoints, licences and reports read it there each time that they need it,
and none of them keeps a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.app.endpoint_set import NO_ENDPOINTS, EndpointSet
from gateway.app.route_edge_models import NO_EDGE_MODELS, RouteEdgeModels
from gateway.app.route_stacks import NO_ROUTES, RouteStacks
from gateway.app.stack_report import StacksReport, report_stacks
from gateway.core.catalog import unknown_model
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller, Request, Response
from gateway.core.service import FastPath, NumberedService, Pending
from gateway.core.stack import Innermost, Stack
from routing.matching import Routes
from routing.policy import Policy


def unchecked(caller: Caller) -> Caller:
    """Identify nobody: where there is no policy there is no tenant either."""
    return caller


@dataclass(frozen=True, slots=True, repr=False)
class Generation:
    """The stacks of one policy generation, and what they were built from.

    ``stack``: what all routes share; its innermost service finds the route. ``routes``: route → its stack.
    ``identify``, ``serial``, ``routed_headers``: as NumberedService has them; the same check is in ``stack``.
    ``policy`` and ``matching``, its routes: None for a central tier, which has none. ``text``: the policy
    file's content. ``longest_s``: the most seconds that one of its requests can take, whatever deadline the
    request names.
    """

    number: int
    stack: Stack
    routes: RouteStacks = field(default_factory=lambda: NO_ROUTES)
    identify: Callable[[Caller], Caller] = unchecked
    serial: int = 0
    policy: Policy | None = None
    matching: Routes | None = None
    text: bytes = b""
    endpoints: EndpointSet = NO_ENDPOINTS
    edge_models: RouteEdgeModels = NO_EDGE_MODELS
    longest_s: float = 0.0
    routed_headers: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"<Generation {self.number}>"

    def __call__(self, request: Request) -> Response | Pending:
        """Answer by the stacks of this generation."""
        return self.stack.entry(request)

    async def report(self) -> StacksReport:
        """Describe the stacks as they are now."""
        endpoints = {name: pool.layers() for name, pool in self.endpoints.by_name.items()}
        return await report_stacks(self.number, self.stack, self.routes.glances(), endpoints)

    def fast_path(self, like: Request) -> FastPath | None:
        """Return the path of requests like this one through these stacks."""
        return self.stack.fast_path(like)


def _nothing_in_force(request: Request) -> Response:  # noqa: ARG001 - a Service
    raise GatewayError(Fault.UNAVAILABLE, "no policy is in force yet", retryable=True)


NOTHING: Final = Generation(
    0, Stack(innermost=Innermost("nothing", "No policy is in force yet.", _nothing_in_force))
)
"""What is in force before the first generation; a gateway listens only after that."""


class InForce:
    """The one holder of the generation in force. ``swap`` is one assignment, which cannot fail."""

    def __init__(self) -> None:
        self._current = NOTHING

    def __repr__(self) -> str:
        return f"<InForce {self._current!r}>"

    def current(self) -> Generation:
        """Return the generation in force. A request keeps the one with which it began."""
        return self._current

    def policy(self) -> Policy:
        """Return the policy in force; only an edge that listens has one."""
        policy = self._current.policy
        assert policy is not None, "a gateway listens only once it has a policy"
        return policy

    def serial(self) -> int:
        """Return which generation it is: another one of the same policy has another."""
        return self._current.serial

    def matching(self) -> Routes:
        """Return which routes take whom; only an edge that listens has them."""
        matching = self._current.matching
        assert matching is not None, "a gateway listens only once it has a policy"
        return matching

    def endpoints(self) -> EndpointSet:
        """Return the endpoints in force."""
        return self._current.endpoints

    def edge_models(self) -> RouteEdgeModels:
        """Return the edge models in force."""
        return self._current.edge_models

    def forbids_cache(self, model: str) -> bool:
        """Whether a configuration of ``model``, this process's or an endpoint's, has its answers not kept."""
        endpoints = self._current.endpoints
        own = self._current.edge_models.forbid_cache(model)
        return own or endpoints.forbid_keeping(endpoints.by_name, model)

    def send(self, request: Request) -> Response | Pending:
        """Send a request that another worker has let through the stack of its route, to an endpoint.

        Raises:
            GatewayError: NOT_FOUND when no route takes it here.
        """
        route = self.matching().find(request.model, request.caller.tenant)
        if route is None:
            raise unknown_model(request.model)
        return self._current.routes[route.name].innermost.service(request)

    def swap(self, generation: Generation) -> Generation:
        """Put ``generation`` in force; return the one that was."""
        before, self._current = self._current, generation
        return before


_: type[NumberedService] = Generation
