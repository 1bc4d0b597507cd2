"""What stacks are made of: the parts that outlive policies, and those of one route."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Self
from weakref import WeakSet

from cache.early_refresh import EarlyRefreshes
from cache.invalidation.invalidations import Invalidations
from cache.levels.level import Levels
from cache.negative import NegativeAnswers
from cache.request_log.recording import RequestLog
from cache.settings import CacheSettings
from cache.single_flight import SingleFlight
from cache.warming.level import WarmLevel
from edge_models.licence import Permission
from gateway.app.observe import Observed
from gateway.config.settings import Settings
from gateway.core.catalog import ModelSpec
from gateway.core.clock import Clock
from gateway.core.service import Service
from gateway.core.stack import Layer
from gateway.core.telemetry import Telemetry
from resilience.admission import Seats
from resilience.budget import RetryBudget
from resilience.circuit import Circuit
from resilience.drain import Drain
from resilience.latencies import Latencies
from resilience.settings import ResilienceSettings, ShadowSettings
from resilience.shadows import Shadows
from routing.placements import Placements
from routing.policy import Route


def no_layers(_route: Route) -> tuple[Layer, ...]:
    """Return none."""
    return ()


@dataclass(frozen=True, slots=True)
class Parts:
    """What outlives policies and is shared by the stacks of all generations.

    ``enrich``: returns the layer that fills inputs of a route's models from stores, where it has such models.
    """

    region: str
    clock: Clock
    chance: Random
    telemetry: Telemetry
    observed: Observed
    resilience: ResilienceSettings
    drain: Drain
    budget: RetryBudget
    seats: Seats
    shadows: Shadows = field(default_factory=lambda: Shadows(ShadowSettings()))
    placements: Placements = field(default_factory=Placements)
    latencies: Latencies = field(default_factory=Latencies)
    enrich: Callable[[Route], tuple[Layer, ...]] = no_layers

    @classmethod
    def of(cls, settings: Settings, clock: Clock, telemetry: Telemetry, observed: Observed) -> Self:
        """Return the parts of a process with ``settings``."""
        resilience = settings.resilience
        return cls(
            region=settings.region,
            clock=clock,
            chance=Random(),  # noqa: S311 - jitter, not secrets
            telemetry=telemetry,
            observed=observed,
            resilience=resilience,
            drain=Drain(),
            budget=RetryBudget(resilience.retry_budget),
            seats=Seats(resilience.admission.max_requests),
            shadows=Shadows(resilience.shadow),
        )


@dataclass(frozen=True, slots=True)
class CacheParts:
    """The cache levels and what keys depend on; ``instruction_set`` is this machine's class.

    ``flights`` are those of all stacks that are still in use, and their early refreshes. ``gates``: those
    before levels outside of the process, by name. ``verdicts``: the negative answers of all routes.
    ``invalidations``: None: there are none, as in tests. ``request_log``: None: look-ups are not logged.
    """

    settings: CacheSettings
    levels: Levels
    instruction_set: str
    flights: WeakSet[SingleFlight | EarlyRefreshes] = field(default_factory=WeakSet)
    gates: Mapping[str, Circuit] = field(default_factory=dict)
    verdicts: NegativeAnswers = field(
        default_factory=lambda: NegativeAnswers(CacheSettings().negative_max_bytes)
    )
    invalidations: Invalidations | None = None
    request_log: RequestLog | None = None

    async def forget(self, model: str) -> None:
        """Forget the answers of ``model`` in this process; what others hold is read no more."""
        self.verdicts.forget(model)
        await self.levels[0].forget(model)
        for level in self.levels:
            if isinstance(level, WarmLevel):
                await level.forget(model)

    async def close_flights(self) -> None:
        """Cancel what no caller waits for any more."""
        for flight in list(self.flights):
            await flight.aclose()


@dataclass(frozen=True, slots=True)
class RouteEdgeModel:
    """The edge ``model`` of one route: ``predictor`` runs it, ``licence`` says what it may answer alone.

    ``spec``: its signature, None where it is not loaded; ``is_batched``: their first dimension is the batch.
    ``response_cache``: whether its own configuration has answers kept; None: it does not say.
    """

    model: str
    predictor: Service
    licence: Permission
    digest: str
    spec: ModelSpec | None = None
    is_batched: bool = False
    response_cache: bool | None = None


def timeout_s(parts: Parts, route: Route) -> float:
    """Return the seconds that a request of ``route`` gets if it names no deadline."""
    return (route.timeout_ms or parts.resilience.deadline.default_timeout_ms) / 1000


def longest_s(parts: Parts, route: Route) -> float:
    """Return the most seconds that a request of ``route`` can get, whatever deadline it names."""
    return (route.timeout_ms or parts.resilience.deadline.max_timeout_ms) / 1000


def shadow_s(route: Route) -> float:
    """Return the seconds for which copies of a request may be under way after its answer."""
    return 0.0 if route.shadow is None else route.shadow.timeout_ms / 1000
