"""One member of an endpoint: an address with connections, health and limits of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from gateway.app.pools.drained import Drained
from gateway.app.pools.listing import Listed
from gateway.app.pools.load_meter import LoadMeter
from gateway.app.pools.pool_models import models_report
from gateway.app.refreshing import Refresher
from gateway.core.stack import Stack
from gateway.upstreams.answer_check import AnswerCheck
from gateway.upstreams.answer_configs import AnswerConfigs
from gateway.upstreams.upstream import Upstream
from resilience.endpoint_health import EndpointHealth
from routing.holdings import Holdings
from routing.pools.ewma import LoadSettings, MemberLoad


@dataclass(frozen=True, slots=True)
class MemberStacks:
    """What requests go through. ``service``: the whole stack. ``mirror``: that of copies of requests."""

    service: Stack
    mirror: Stack


@dataclass(frozen=True, slots=True)
class MemberParts:
    """What a member consists of. ``stack`` makes its stacks, which most of a thousand members never need."""

    stack: Callable[[], MemberStacks]
    upstream: Upstream
    health: EndpointHealth
    meter: LoadMeter
    refresher: Refresher
    answer_check: AnswerCheck
    answer_configs: AnswerConfigs


class PoolMember(MemberLoad):
    """A member; it outlives pools and policies while its connection stays what it is.

    Its name is its address as the policy lists it, or ``NAME:PORT/ADDRESS`` for one that a name leads to.

    Args:
        endpoint: whose member it is; ``label`` is ENDPOINT/NAME, as ``Request.tried`` has it.
        listed: its name, weight and zone.
        make_parts: makes what it consists of; its load is measured there.
        drained: what operators have drained.
        clock: seconds of a fine timer.
        settings: how its load is remembered.
    """

    __slots__ = (
        "_drained",
        "_health",
        "_stacks",
        "held_since",
        "holdings",
        "indexed_at",
        "is_leaving",
        "label",
        "parts",
    )

    def __init__(
        self,
        endpoint: str,
        listed: Listed,
        make_parts: Callable[[PoolMember], MemberParts],
        *,
        drained: Drained,
        clock: Callable[[], float],
        settings: LoadSettings,
    ) -> None:
        super().__init__(listed.name, clock, settings, weight=listed.weight, zone=listed.zone)
        self.label, self._drained = f"{endpoint}/{listed.name}", drained
        self.is_leaving = False
        """Its name does not lead there any more, so nothing new goes there."""
        self.holdings: Holdings | None = None
        """What its index says that it holds; None: nothing is known."""
        self.held_since = 0.0
        """When that was found to be so, in seconds since the Unix epoch."""
        self.indexed_at = -math.inf
        """When its index was read last, by the loop's clock."""
        self.parts = make_parts(self)
        self._health = self.parts.health
        self._stacks: MemberStacks | None = None

    def __repr__(self) -> str:
        return f"<PoolMember {self._health!r}, {super().__repr__()}>"

    @property
    def stacks(self) -> MemberStacks:
        """What its requests go through, made when the first one does."""
        found = self._stacks
        if found is None:
            found = self._stacks = self.parts.stack()
        return found

    @property
    def is_drained(self) -> bool:
        """Whether an operator has drained it, alone."""
        return self.label in self._drained

    @property
    def is_undrained(self) -> bool:
        """Whether it may get new work in a panic, well or not."""
        return not self.is_leaving and self.label not in self._drained

    @property
    def is_up(self) -> bool:
        """Whether it would let a request through, drained or not."""
        return not self.is_leaving and self._health.is_available

    @property
    def is_available(self) -> bool:
        """Whether it may get new work now."""
        return not self.is_leaving and self._health.is_available and self.label not in self._drained

    @property
    def is_well(self) -> bool:
        """Whether it can take over for others: it is not out, not even for a trial."""
        return not self.is_leaving and self._health.is_well and self.label not in self._drained

    def is_preferred(self, model: str) -> bool:
        """Whether it may get new work, and nothing is known against ``model`` there."""
        return not self.is_leaving and self._health.is_preferred(model) and self.label not in self._drained

    def place(self, listed: Listed, settings: LoadSettings) -> None:
        """Take the share, the zone and the slow start that the policy in force gives it."""
        self.weight, self.zone, self._settings = listed.weight, listed.zone, settings

    def report(self) -> Mapping[str, Any]:
        """Return its health and its load, for operators."""
        return {
            **self._health.report(),
            "weight": self.weight,
            **({"zone": self.zone} if self.zone else {}),
            **({"drained": True} if self.is_drained else {}),
            **({"penalized": True} if self.is_penalized else {}),
            **({"files": [*problems]} if (problems := self.parts.upstream.problems) else {}),
            **({"warmth": round(self.warmth, 2)} if self.warmth < 1 else {}),
            "active": self.active,
            "latency_ms": round(1000 * self.latency_s, 3),
            "requests": self.parts.meter.requests,
            "failures": self.parts.meter.failures,
            **self.models_report(),
        }

    def models_report(self) -> Mapping[str, Any]:
        """Return what it is known to hold, and since when, for operators; nothing where that is not known."""
        holdings = self.holdings
        return {} if holdings is None else {**models_report(holdings), "models_since": round(self.held_since)}

    async def aclose(self) -> None:
        """End what runs beside the requests, and close the connections."""
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self.parts.upstream.aclose)
            closing.push_async_callback(self.parts.refresher.aclose)
            closing.push_async_callback(self.parts.health.aclose)
            closing.push_async_callback(self.parts.answer_check.aclose)
            closing.push_async_callback(self.parts.answer_configs.aclose)
