"""The endpoints that policies name, each behind its own breaker, time limit and bulkhead.

They outlive a policy reload: a breaker that has learned that its endpoint is down stays open, and
connections stay warm, as long as the endpoint's definition does not change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec

from gateway.app.observe import Observed
from gateway.app.refreshing import Refresher
from gateway.app.stacks import endpoint_stack
from gateway.core.catalog import Catalog
from gateway.core.clock import Chance, Clock
from gateway.core.stack import Stack
from gateway.core.telemetry import BreakerAppeared, BreakerGone, Telemetry
from gateway.upstreams.abilities import Abilities
from gateway.upstreams.oip_grpc import GrpcUpstream
from gateway.upstreams.oip_http import HttpUpstream
from gateway.upstreams.settings import UpstreamSettings
from resilience.attempt import AttemptTimeout
from resilience.breaker import Breaker
from resilience.bulkhead import Bulkhead
from resilience.endpoint_health import EndpointHealth
from resilience.settings import ResilienceSettings
from routing.policy import Endpoint, Policy
from routing.rules.order import rivals

Upstream = GrpcUpstream | HttpUpstream


@dataclass(frozen=True, slots=True)
class Guarded:
    """One endpoint: ``service`` is the whole of its stack, ``catalog`` asks it about models."""

    definition: Endpoint
    service: Stack
    catalog: Catalog
    health: EndpointHealth
    refresher: Refresher
    upstream: Upstream

    async def aclose(self) -> None:
        """End what runs beside the requests, and close the connections."""
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self.upstream.aclose)
            closing.push_async_callback(self.refresher.aclose)
            closing.push_async_callback(self.health.aclose)


class Health:
    """What one policy generation believes of its endpoints: the Router's view."""

    def __init__(self, endpoints: Mapping[str, Guarded]) -> None:
        self._known = {name: guarded.health for name, guarded in endpoints.items()}

    def __repr__(self) -> str:
        return f"<Health {', '.join(map(repr, self._known.values())) or 'of nobody'}>"

    def is_available(self, endpoint: str) -> bool:
        """Whether the endpoint's breaker lets requests through now."""
        health = self._known.get(endpoint)
        return health is not None and health.is_available

    def is_preferred(self, endpoint: str, model: str) -> bool:
        """Whether it does, and nothing is known against ``model`` there."""
        health = self._known.get(endpoint)
        return health is not None and health.is_preferred(model)

    def why(self, endpoint: str) -> str:
        """Tell why it is out, fit for a client."""
        health = self._known.get(endpoint)
        return str(health.why) if health is not None and health.why else ""


class Endpoints:
    """All endpoints in use, by name."""

    def __init__(
        self,
        settings: ResilienceSettings,
        clock: Clock,
        telemetry: Telemetry,
        observed: Observed,
        *,
        region: str = "",
        max_body_bytes: int = 64 << 20,
        upstreams: UpstreamSettings | None = None,
        chance: Chance | None = None,
    ) -> None:
        self._region, self._max_body_bytes = region, max_body_bytes
        self._chance = chance or Random()  # noqa: S311 - jitter, not secrets
        self._upstreams = upstreams or UpstreamSettings()
        self._settings, self._clock, self._telemetry, self._observed = settings, clock, telemetry, observed
        self._endpoints: dict[str, Guarded] = {}
        self._rivals: Mapping[str, tuple[frozenset[str], ...]] = {}
        self._retiring: dict[asyncio.Task[None], Guarded] = {}

    def __repr__(self) -> str:
        states = ", ".join(f"{name} {guarded.health!r}" for name, guarded in self._endpoints.items())
        return f"<Endpoints {states or 'none'}, {len(self._retiring)} retiring>"

    def is_available(self, name: str) -> bool:
        """Whether the endpoint's breaker lets requests through now."""
        guarded = self._endpoints.get(name)
        return guarded is not None and guarded.health.is_available

    def report(self) -> Mapping[str, Any]:
        """Tell of each endpoint whether it is out, and why."""
        return {name: guarded.health.report() for name, guarded in self._endpoints.items()}

    def catalog(self, name: str) -> Catalog | None:
        """Return what the endpoint knows of models; None when no policy in force names it."""
        guarded = self._endpoints.get(name)
        return guarded.catalog if guarded else None

    def prepare(self, policy: Policy) -> Mapping[str, Guarded]:
        """Return the endpoints of ``policy``, those that did not change being the ones in use.

        Nothing in force changes until ``commit``, so a policy that fails later leaves no trace.
        """
        return {
            name: self._endpoints[name]
            if name in self._endpoints and self._endpoints[name].definition == definition
            else self._build(name, definition)
            for name, definition in policy.endpoints.items()
        }

    def discard(self, endpoints: Mapping[str, Guarded]) -> None:
        """Close what ``prepare`` has opened for a policy that will not come into force."""
        in_use = {id(guarded) for guarded in self._endpoints.values()}
        for guarded in endpoints.values():
            if id(guarded) not in in_use:
                self._end(guarded, 0.0)

    def commit(
        self, endpoints: Mapping[str, Guarded], grace_s: float, *, policy: Policy | None = None
    ) -> None:
        """Put ``endpoints`` in force; the ones that are gone close after ``grace_s`` seconds.

        ``policy`` says which of them can take each other's requests; without it none can.
        """
        self._rivals = rivals(policy, self._region) if policy is not None else {}
        kept = {id(guarded) for guarded in endpoints.values()}
        known = {id(guarded) for guarded in self._endpoints.values()}
        gone = [guarded for guarded in self._endpoints.values() if id(guarded) not in kept]
        for name in self._endpoints.keys() - endpoints.keys():
            self._telemetry.emit(BreakerGone(name))
        for name, guarded in endpoints.items():
            if id(guarded) not in known:
                # Also where the name is an old one: the new endpoint's breaker starts closed.
                self._telemetry.emit(BreakerAppeared(name))
                guarded.refresher.start()
        self._endpoints = dict(endpoints)
        for guarded in gone:
            self._end(guarded, grace_s)

    async def aclose(self) -> None:
        """Close every connection now."""
        retiring = list(self._retiring.items())
        for task, _ in retiring:
            task.cancel()
        await asyncio.gather(*(task for task, _ in retiring), return_exceptions=True)
        async with AsyncExitStack() as closing:
            # Those that were retiring, too: a task that never took its first step has closed nothing.
            for guarded in (*(guarded for _, guarded in retiring), *self._endpoints.values()):
                closing.push_async_callback(guarded.aclose)

    def _end(self, guarded: Guarded, grace_s: float) -> None:
        guarded.health.retire()
        task = asyncio.create_task(self._retire(guarded, grace_s))
        self._retiring[task] = guarded
        task.add_done_callback(lambda task: self._retiring.pop(task, None))

    async def _retire(self, guarded: Guarded, grace_s: float) -> None:
        # Requests that began under the old policy still hold the endpoint.
        try:
            await self._clock.sleep(grace_s)
        finally:
            await guarded.aclose()

    def _is_last(self, name: str) -> bool:
        """Whether there are requests that no other endpoint can take now."""
        sets = self._rivals.get(name)
        return sets is None or any(not any(map(self._is_well, others)) for others in sets)

    def _is_well(self, name: str) -> bool:
        guarded = self._endpoints.get(name)
        return guarded is not None and guarded.health.is_well

    def _build(self, name: str, definition: Endpoint) -> Guarded:
        upstream = self._upstream(name, definition)
        health = EndpointHealth(
            name,
            self._settings.breaker,
            peer=upstream,
            is_last=lambda: self._is_last(name),
            clock=self._clock,
            chance=self._chance,
            telemetry=self._telemetry,
        )
        bulkhead = self._settings.bulkhead
        if definition.max_concurrency is not None:
            bulkhead = msgspec.structs.replace(bulkhead, max_concurrency=definition.max_concurrency)
        attempt_ms = definition.attempt_timeout_ms or self._settings.retry.per_try_timeout_ms
        service = endpoint_stack(
            self._observed,
            upstream,
            breaker=Breaker(health),
            bulkhead=Bulkhead(bulkhead, self._telemetry),
            attempt_timeout=AttemptTimeout(attempt_ms / 1000, self._clock),
            abilities=Abilities(upstream) if isinstance(upstream, HttpUpstream) else None,
        )
        refresher = Refresher(upstream, self._refresh_s(definition), self._clock)
        return Guarded(definition, service, upstream, health, refresher, upstream)

    def _refresh_s(self, definition: Endpoint) -> float:
        wire = self._upstreams.http if definition.protocol == "http" else self._upstreams.grpc
        return wire.dns_refresh_rate_s

    def _upstream(self, name: str, definition: Endpoint) -> Upstream:
        match definition.protocol:
            case "grpc":
                return GrpcUpstream(
                    name,
                    definition.address,
                    self._clock,
                    region=definition.region,
                    max_message_bytes=self._max_body_bytes,
                    settings=self._upstreams.grpc,
                    chance=self._chance,
                )
            case "http":
                return HttpUpstream(
                    name,
                    f"http://{definition.address}",
                    self._clock,
                    region=definition.region,
                    max_body_bytes=self._max_body_bytes,
                    settings=self._upstreams.http,
                    chance=self._chance,
                )
