"""The order of everything that happens to a request, and why each layer stands where it stands.

This is the one place where layers are put together. A stack is built once per policy generation and
route; a layer that a route does not use is not in its stack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from weakref import WeakSet

import msgspec

from cache.filter import Cache
from cache.freshness import Freshness
from cache.key import RequestHasher, derive_secret
from cache.levels.level import Level
from cache.levels.memory import MemoryLevel
from cache.settings import CacheSettings
from cache.single_flight import SingleFlight
from edge_models.cascade import Cascade
from edge_models.licence import Licence
from gateway.app.observe import Observed
from gateway.core.clock import Clock
from gateway.core.request import Caller
from gateway.core.service import Filter, Service, stack
from gateway.core.telemetry import Telemetry
from gateway.telemetry.provenance import ProvenanceParameters
from resilience.admission import Admission, Seats
from resilience.budget import RetryBudget
from resilience.deadline import Deadline
from resilience.drain import Drain
from resilience.retry import Retry
from resilience.settings import ResilienceSettings
from routing.policy import Policy, Route
from routing.residency import Locate, Residency
from routing.router import Router
from routing.rules.order import View
from routing.tenants import identify


@dataclass(frozen=True, slots=True)
class Parts:
    """What outlives policies and is shared by the stacks of all generations."""

    region: str
    clock: Clock
    chance: Random
    telemetry: Telemetry
    observed: Observed
    resilience: ResilienceSettings
    drain: Drain
    budget: RetryBudget
    seats: Seats


@dataclass(frozen=True, slots=True)
class Levels:
    """The cache levels and what keys depend on; ``instruction_set`` is this machine's class.

    ``flights`` are those of all stacks that are still in use.
    """

    settings: CacheSettings
    memory: MemoryLevel
    remote: Level | None
    instruction_set: str
    flights: WeakSet[SingleFlight] = field(default_factory=WeakSet)

    async def close_flights(self) -> None:
        """Cancel what nobody waits for any more."""
        for flight in list(self.flights):
            await flight.aclose()


@dataclass(frozen=True, slots=True)
class EdgeTier:
    """The edge ``model`` of one route: ``predictor`` runs it, ``licence`` says what it may answer alone."""

    model: str
    predictor: Service
    licence: Licence
    digest: str


def door(parts: Parts, policy: Policy | None, service: Service) -> Service:
    """Wrap what all routes share: everything that must happen before a route is known."""
    check = identify(policy) if policy else _everybody
    return stack(
        # Outside of everything that counts, keys or computes: what it adds is for the client's eyes only.
        ProvenanceParameters(parts.region, policy.generation if policy else 0),
        # Trace is outermost of what works: everything below is inside the span. Measure stands above
        # Deadline and Admission, so that timeouts and refusals count.
        *parts.observed.outermost(),
        # Outside of Admission, so that a refusal under way is waited for as well.
        parts.drain,
        # Above everything that waits or allocates: a refusal must be cheap.
        *parts.observed.span("admission"),
        Admission(check, parts.seats, parts.resilience.admission, parts.telemetry),
        service=service,
    )


def central_service(parts: Parts, predictor: Service) -> Service:
    """Return the stack of a central tier: no cache, no policy, no further tier."""
    deadline = parts.resilience.deadline
    return stack(
        *parts.observed.span("deadline"),
        Deadline(
            deadline.default_timeout_ms / 1000, parts.clock, max_timeout_s=deadline.max_timeout_ms / 1000
        ),
        *parts.observed.layer("model"),
        service=predictor,
    )


def route_service(
    parts: Parts,
    policy: Policy,
    route: Route,
    *,
    locate: Locate,
    endpoints: Mapping[str, Service],
    view: View,
    levels: Levels | None,
    edge: EdgeTier | None,
) -> Service:
    """Return the stack of one route of an edge gateway, below the door."""
    elsewhere = stack(
        # Above the Router, so that the next attempt may go elsewhere: fail-over is a retry.
        *_retry(parts, route),
        service=Router(policy, route, parts.region, endpoints=endpoints, view=view),
    )
    here = stack(
        # Above the models and everything remote: a hit saves them all. Misses of one key share a flight.
        *_cache(parts, route, levels, edge),
        # Below the Cache, so that answers of both tiers are kept under one key; above Retry, because a
        # confident edge answer needs no endpoint.
        *_cascade(parts, route, edge),
        service=elsewhere,
    )
    return stack(
        *parts.observed.span("residency"),
        # Fixes the allowed regions before anything can leave. Where this region is not among them the
        # request passes by the local cache and model: `abroad` has neither.
        Residency(
            policy,
            parts.region,
            locate=locate,
            abroad=_timed(parts, route, elsewhere),
            telemetry=parts.telemetry,
        ),
        service=_timed(parts, route, here),
    )


def timeout_s(parts: Parts, route: Route) -> float:
    """Return the seconds that a request of ``route`` gets if it names no deadline."""
    return (route.timeout_ms or parts.resilience.deadline.default_timeout_ms) / 1000


def longest_s(parts: Parts, route: Route) -> float:
    """Return the most seconds that a request of ``route`` can get, whatever deadline it names."""
    return (route.timeout_ms or parts.resilience.deadline.max_timeout_ms) / 1000


def _timed(parts: Parts, route: Route, service: Service) -> Service:
    """Above the Cache, so that a stalled Redis cannot outlive the caller."""
    deadline = Deadline(timeout_s(parts, route), parts.clock, max_timeout_s=longest_s(parts, route))
    return stack(*parts.observed.span("deadline"), deadline, service=service)


def _retry(parts: Parts, route: Route) -> tuple[Filter, ...]:
    settings = parts.resilience.retry
    num_retries = settings.num_retries if route.num_retries is None else route.num_retries
    if not num_retries:
        return ()
    retry = Retry(
        settings,
        parts.budget,
        clock=parts.clock,
        chance=parts.chance,
        telemetry=parts.telemetry,
        num_retries=num_retries,
    )
    return (*parts.observed.layer("retry"), retry)


def _cascade(parts: Parts, route: Route, edge: EdgeTier | None) -> tuple[Filter, ...]:
    if route.cascade is None or edge is None:
        return ()
    cascade = Cascade(
        stack(*parts.observed.layer("edge_model"), service=edge.predictor),
        {edge.model: edge.licence},
        on_central_down=route.cascade.on_central_down,
        region=parts.region,
        clock=parts.clock,
        telemetry=parts.telemetry,
    )
    return (*parts.observed.layer("cascade"), cascade)


def _cache(parts: Parts, route: Route, levels: Levels | None, edge: EdgeTier | None) -> tuple[Filter, ...]:
    # Keys are content-addressed: without the digest of what answers there is nothing to address by.
    if levels is None or not route.cache.enabled or not route.digests:
        return ()
    settings = levels.settings
    if route.cache.ttl_s is not None:
        settings = msgspec.structs.replace(settings, ttl_s=route.cache.ttl_s)
    # Without a cascade no edge answer may come out of this cache, not even one kept before.
    edge = edge if route.cascade else None
    artefacts = (*route.digests, edge.digest) if edge else route.digests
    flight = SingleFlight(
        parts.clock,
        parts.telemetry,
        timeout_s=timeout_s(parts, route),
        max_refreshes=settings.max_refreshes,
    )
    levels.flights.add(flight)
    cache = Cache(
        levels.memory,
        levels.remote,
        hasher=RequestHasher(
            derive_secret(settings.key_secret, "keys"),
            identity="+".join(artefacts),
            instruction_set=levels.instruction_set,
            per_tenant=settings.scope == "tenant",
            # Another threshold may draw another tier's answer, and under a refused certificate none of
            # the edge's answers is what it was.
            proof=edge.licence.proof if edge else str,
        ),
        freshness=Freshness(settings, parts.chance, frozenset(artefacts)),
        flight=flight,
        clock=parts.clock,
        telemetry=parts.telemetry,
    )
    return (*parts.observed.span("cache"), cache)


def _everybody(caller: Caller) -> Caller:
    return caller
