"""The stacks that a gateway would build of a policy, without a gateway: for `edgeway policy explain --stack`.

Nothing is connected and no model is loaded. What only a running gateway knows (breakers, licences, what is in
the caches) is shown as it is at a start.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Final

from opentelemetry.trace import NoOpTracer

from cache.levels.level import LevelParts
from cache.settings import CacheSettings
from edge_models.isa import instruction_set_class
from edge_models.licence import Licence
from edge_models.settings import ModelsSettings
from gateway.app.builder import Builder, EdgeModels
from gateway.app.certificates import Certificates
from gateway.app.connector import Connector
from gateway.app.edge_tier import EdgeTiers
from gateway.app.endpoint_set import NO_ENDPOINTS
from gateway.app.endpoints import Endpoints
from gateway.app.loading import Loaded
from gateway.app.observe import Observed
from gateway.app.parts import CacheParts, EdgeTier, Parts
from gateway.app.stack_report import StacksReport
from gateway.config.settings import Settings
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.gate import GateSettings, OpenGate
from gateway.core.request import EDGE, Request, Response
from gateway.core.telemetry import Silence
from resilience.admission import Seats
from resilience.budget import RetryBudget
from resilience.drain import Drain
from routing.policy import Policy, Route

_DIGEST: Final = "the edge model's"


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


class UnloadedModels:
    """Stands for the models of a process: every route with a cascade has one."""

    def tiers(
        self,
        routes: Iterable[Route],
        found: Certificates,
        *,
        forget: bool = False,  # noqa: ARG002 - nothing is known that could be forgotten
    ) -> EdgeTiers:
        """Return an edge tier for each route that names a cascade."""
        names = {route.name: route.match.model for route in routes if route.cascade is not None}
        tiers = {
            route: EdgeTier(model, UnloadedModel(), UnreadLicence(model), _DIGEST)
            for route, model in names.items()
        }
        return EdgeTiers(tiers, found)

    def replaced(self, old: EdgeTiers, new: EdgeTiers) -> None:
        """Do nothing: no generation comes into force."""


def assumed(region: str) -> Settings:
    """Return the settings of a gateway of which only the region is known: defaults, a cache, and models."""
    models = ModelsSettings(repository="unknown")
    return Settings(role=EDGE, region=region, cache=CacheSettings(), models=models)


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
    cache = None
    if settings.cache is not None:
        levels = settings.cache.open_levels(LevelParts(_open_gate, clock, silence))
        cache = CacheParts(settings.cache, levels, instruction_set_class())
    models = UnloadedModels() if settings.models is not None else None
    builder = Builder(parts, endpoints, models, lambda _address: None, cache)
    try:
        generation = builder.build(Loaded(policy, b"", {}))
        endpoints.discard(generation.endpoints)
        return generation.report()
    finally:
        await endpoints.aclose()


def _open_gate(_name: str, _settings: GateSettings) -> OpenGate:
    return OpenGate()


_: type[EdgeModels] = UnloadedModels
