"""The endpoints that policies name, each behind its own breaker, time limit and bulkhead.

They outlive a policy reload: a breaker that has learned that its endpoint is down stays open, and
connections stay warm, as long as the endpoint's definition does not change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Final

import msgspec

from gateway.app.connector import Connector
from gateway.app.endpoint_set import EndpointSet, Guarded
from gateway.app.observe import Observed
from gateway.app.parts import Parts
from gateway.app.refreshing import Refresher
from gateway.app.stacks import endpoint_stack
from gateway.config.settings import Settings
from gateway.core.clock import Chance, Clock
from gateway.core.offload import Here, Offload
from gateway.core.telemetry import BreakerAppeared, BreakerGone, Telemetry
from gateway.upstreams.abilities import Abilities, Learner
from gateway.upstreams.answer_check import AnswerCheck
from resilience.attempt import AttemptTimeout
from resilience.breaker import Breaker
from resilience.bulkhead import Bulkhead
from resilience.endpoint_health import EndpointHealth
from resilience.settings import ResilienceSettings
from routing.policy import EDGE, Endpoint, Policy
from routing.rules.order import Rivals, rivals

RETIRE_EXTRA_S: Final = 5.0
"""Endpoints that a policy dropped stay open this much longer than any request that it let in."""


class Endpoints:
    """Builds the endpoints of every generation, and closes those that no generation needs any more.

    It holds nothing in force: ``in_use`` returns the set that is (``InForce.endpoints``).
    """

    def __init__(
        self,
        settings: ResilienceSettings,
        clock: Clock,
        telemetry: Telemetry,
        observed: Observed,
        *,
        connector: Connector,
        in_use: Callable[[], EndpointSet],
        chance: Chance,
        region: str = "",
    ) -> None:
        self._region, self._connector, self._chance = region, connector, chance
        self._settings, self._clock, self._telemetry, self._observed = settings, clock, telemetry, observed
        self._in_use = in_use
        self.files = connector.files
        """What the endpoints need of this machine."""
        self._retiring: dict[asyncio.Task[None], Guarded] = {}
        self._held_until = 0.0

    def __repr__(self) -> str:
        return f"<Endpoints {self._in_use()!r}, {self.num_retiring} retiring>"

    @property
    def num_retiring(self) -> int:
        """Endpoints that are not in use any more and not yet closed."""
        return len(self._retiring)

    def prepare(self, policy: Policy, found: Rivals | None = None) -> EndpointSet:
        """Return the endpoints of ``policy``; those whose definition did not change are the ones in use.

        Nothing in force changes: ``after_swap`` is called once the set is in force, ``discard`` if it never
        is. ``found``: what ``rivals`` finds, which may take long; None: find it now.
        """
        known = self._in_use().by_name
        endpoints = {
            name: known[name]
            if name in known and known[name].definition == definition
            else self._build(name, definition)
            for name, definition in policy.endpoints.items()
        }
        return EndpointSet(endpoints, rivals(policy, self._region) if found is None else found)

    def discard(self, prepared: EndpointSet) -> None:
        """Close what ``prepare`` has opened for a policy that will not come into force."""
        for guarded in _without(prepared, self._in_use()).values():
            self._end(guarded, 0.0)

    def after_swap(self, old: EndpointSet, new: EndpointSet, *, longest_s: float) -> None:
        """Start to refresh the endpoints of ``new``, which is in force; close those that are gone, but later.

        ``longest_s``: the most seconds that a request which holds an endpoint of ``old`` can still take.
        """
        now = self._clock.now()
        # What is dropped now may be held by requests that ``old``, or a policy before it, has let in.
        self._held_until = max(self._held_until, now + longest_s)
        for name in old.by_name.keys() - new.by_name.keys():
            self._telemetry.emit(BreakerGone(name))
        for name, guarded in _without(new, old).items():
            # Also where the name is an old one: the new endpoint's breaker starts closed.
            self._telemetry.emit(BreakerAppeared(name))
            guarded.refresher.start()
        for guarded in _without(old, new).values():
            self._end(guarded, self._held_until - now + RETIRE_EXTRA_S)

    async def aclose(self) -> None:
        """Close every connection now: of the endpoints in use and of those that are retiring."""
        retiring = list(self._retiring.items())
        for task, _ in retiring:
            task.cancel()
        await asyncio.gather(*(task for task, _ in retiring), return_exceptions=True)
        async with AsyncExitStack() as closing:
            # Those that were retiring, too: a task that never took its first step has closed nothing.
            for guarded in (*(guarded for _, guarded in retiring), *self._in_use().by_name.values()):
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

    def _build(self, name: str, definition: Endpoint) -> Guarded:
        upstream = self._connector.connect(name, definition)
        health = EndpointHealth(
            name,
            self._settings.breaker,
            peer=upstream,
            is_last=lambda: self._in_use().is_last(name),
            clock=self._clock,
            chance=self._chance,
            telemetry=self._telemetry,
        )
        bulkhead = self._settings.bulkhead
        if definition.max_concurrency is not None:
            bulkhead = msgspec.structs.replace(bulkhead, max_concurrency=definition.max_concurrency)
        attempt_ms = definition.attempt_timeout_ms or self._settings.retry.per_try_timeout_ms
        # Another gateway would ask its own endpoints, this gateway among them.
        catalog = upstream if definition.tier != EDGE else None
        answer_check = AnswerCheck(name, catalog, self._clock)
        service = endpoint_stack(
            self._observed,
            upstream,
            breaker=Breaker(health),
            bulkhead=Bulkhead(bulkhead, self._telemetry),
            attempt_timeout=AttemptTimeout(attempt_ms / 1000, self._clock),
            answer_check=answer_check,
            abilities=Abilities(upstream) if isinstance(upstream, Learner) else None,
        )
        refresher = Refresher(upstream, upstream.refresh_s, self._clock)
        return Guarded(definition, service, upstream, health, refresher, upstream, answer_check)


def make_endpoints(
    settings: Settings, parts: Parts, in_use: Callable[[], EndpointSet], offload: Offload | None = None
) -> Endpoints:
    """Return the endpoints of a process with ``settings``; ``in_use`` returns those in force."""
    return Endpoints(
        settings.resilience,
        parts.clock,
        parts.telemetry,
        parts.observed,
        connector=Connector(
            parts.clock,
            parts.chance,
            settings.upstreams,
            settings.listen.max_body_mib << 20,
            offload or Here(),
        ),
        in_use=in_use,
        chance=parts.chance,
        region=settings.region,
    )


def _without(these: EndpointSet, others: EndpointSet) -> Mapping[str, Guarded]:
    """Return the endpoints of ``these`` that are not the very same in ``others``."""
    known = {id(guarded) for guarded in others.by_name.values()}
    return {name: guarded for name, guarded in these.by_name.items() if id(guarded) not in known}
