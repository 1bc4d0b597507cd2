"""The stacks that a gateway would build of a policy, without a gateway: for `edgeway policy explain --stack`.

Nothing is connected and no model is loaded. What only a running gateway knows (breakers, licences, what is in
the caches) is shown as it is at a start.
"""

from __future__ import annotations

from random import Random

from opentelemetry.trace import NoOpTracer

from cache.levels.level import LevelParts
from cache.settings import CacheSettings
from edge_models.isa import instruction_set_class
from edge_models.licence import Licence
from gateway.app.connector import Connector
from gateway.app.dispatch import RouteDispatch
from gateway.app.endpoint_set import NO_ENDPOINTS, EndpointSet
from gateway.app.endpoints import Endpoints
from gateway.app.observe import Observed
from gateway.app.stack_report import StacksReport, report_stacks
from gateway.app.stacks import CacheParts, EdgeTier, Parts, route_stack, shared_stack
from gateway.config.settings import Settings
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.gate import OpenGate
from gateway.core.request import EDGE, Request, Response
from gateway.core.service import Service
from gateway.core.telemetry import Silence
from resilience.admission import Seats
from resilience.budget import RetryBudget
from resilience.drain import Drain
from routing.policy import Policy, Route


class UnloadedModel:
    """Stands for the models of a process that is not there."""

    def __repr__(self) -> str:
        return "<UnloadedModel: the models of a gateway are loaded when it starts>"

    async def __call__(self, request: Request) -> Response:  # noqa: ARG002 - a Service's signature
        """Refuse.

        Raises:
            GatewayError: always.
        """
        raise GatewayError(Fault.UNAVAILABLE, "no model is loaded")


class UnreadLicence(Licence):
    """Stands for the licence that a model's certificate gives when a gateway reads it."""

    def __init__(self, model: str) -> None:
        self._name = model

    def __repr__(self) -> str:
        return f"<UnreadLicence {self._name}: certificates are read when a gateway starts>"

    def proof(self) -> str:
        """Return nothing: there is no certificate."""
        return ""


def assumed(region: str) -> Settings:
    """Return the settings of a gateway of which only the region is known: defaults, and a cache."""
    return Settings(role=EDGE, region=region, cache=CacheSettings())


async def outline(policy: Policy, settings: Settings) -> StacksReport:
    """Describe the stacks of ``policy`` in a gateway with ``settings``. Needs a running loop."""
    clock, silence = LoopClock(), Silence()
    observed = Observed(clock, silence, NoOpTracer() if settings.telemetry.otlp_endpoint else None)
    parts = Parts(
        region=settings.region,
        clock=clock,
        chance=Random(),  # noqa: S311 - never drawn from
        telemetry=silence,
        observed=observed,
        resilience=settings.resilience,
        drain=Drain(),
        budget=RetryBudget(settings.resilience.retry_budget),
        seats=Seats(settings.resilience.admission.max_requests),
    )
    endpoints = Endpoints(
        settings.resilience,
        clock,
        silence,
        observed,
        connector=Connector(clock, parts.chance, settings.upstreams),
        in_use=lambda: NO_ENDPOINTS,
        chance=parts.chance,
        region=settings.region,
    )
    prepared = endpoints.prepare(policy)
    try:
        return _report(policy, parts, prepared, settings)
    finally:
        endpoints.discard(prepared)
        await endpoints.aclose()


def _report(policy: Policy, parts: Parts, endpoints: EndpointSet, settings: Settings) -> StacksReport:
    cache = None
    if settings.cache is not None:
        levels = settings.cache.open_levels(LevelParts(_open_gate, parts.clock, parts.telemetry))
        cache = CacheParts(settings.cache, levels, instruction_set_class())
    services: dict[str, Service] = {
        name: endpoint.service.entry for name, endpoint in endpoints.by_name.items()
    }
    routes = {
        route.name: route_stack(
            parts,
            policy,
            route,
            locate=lambda _address: None,
            endpoints=services,
            view=endpoints,
            cache=cache,
            edge=_edge(route),
        )
        for route in policy.routes
    }
    shared = shared_stack(parts, policy, RouteDispatch(policy, routes))
    return report_stacks(
        policy.generation,
        shared,
        routes,
        {name: endpoint.service for name, endpoint in endpoints.by_name.items()},
    )


def _edge(route: Route) -> EdgeTier | None:
    if route.cascade is None:
        return None
    model = route.match.model
    return EdgeTier(model, UnloadedModel(), UnreadLicence(model), "the edge model's")


def _open_gate(_name: str) -> OpenGate:
    return OpenGate()
