"""One member of an endpoint: an address with connections, health and limits of its own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from gateway.app.pools.drained import Drained
from gateway.app.pools.load_meter import LoadMeter, MemberLoad
from gateway.app.refreshing import Refresher
from gateway.core.stack import Stack
from gateway.upstreams.answer_check import AnswerCheck
from gateway.upstreams.upstream import Upstream
from resilience.endpoint_health import EndpointHealth


@dataclass(frozen=True, slots=True)
class MemberParts:
    """What a member consists of. ``service``: its whole stack."""

    service: Stack
    upstream: Upstream
    health: EndpointHealth
    meter: LoadMeter
    refresher: Refresher
    answer_check: AnswerCheck


class PoolMember:
    """What a member has of its own; it outlives pools and policies while its connection stays what it is.

    Args:
        label: ENDPOINT/NAME, as ``Request.tried`` has it. The name is its address as the policy lists it, or
            ``NAME:PORT/ADDRESS`` for one that a name leads to.
        load: what is known of its load.
        parts: what it consists of.
        drained: what operators have drained.
    """

    __slots__ = ("_drained", "_health", "_load", "is_leaving", "label", "name", "parts")

    def __init__(self, label: str, load: MemberLoad, parts: MemberParts, drained: Drained) -> None:
        self.label, self.name = label, load.name
        self.parts, self._load, self._drained, self._health = parts, load, drained, parts.health
        self.is_leaving = False
        """Its name does not lead there any more, so nothing new goes there."""

    def __repr__(self) -> str:
        return f"<PoolMember {self.parts.health!r}, {self._load!r}>"

    @property
    def weight(self) -> float:
        """Its share beside the others'."""
        return self._load.weight

    @property
    def zone(self) -> str:
        """Where in its region it is."""
        return self._load.zone

    @property
    def active(self) -> int:
        """Requests under way there."""
        return self._load.active

    @property
    def cost(self) -> float:
        """What one more request costs there."""
        return self._load.cost

    @property
    def is_drained(self) -> bool:
        """Whether an operator has drained it, alone."""
        return self.label in self._drained

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

    def place(self, weight: float, zone: str) -> None:
        """Take the share and the zone that the policy in force gives it."""
        self._load.weight, self._load.zone = weight, zone

    def warm_up(self) -> None:
        """Give it its share little by little: it is new, or well again."""
        self._load.warm_up()

    def report(self) -> Mapping[str, Any]:
        """Return its health and its load, for operators."""
        return {
            **self.parts.health.report(),
            "weight": self.weight,
            **({"zone": self.zone} if self.zone else {}),
            **({"drained": True} if self.is_drained else {}),
            "active": self.active,
            "latency_ms": round(1000 * self._load.latency_s, 3),
            "requests": self.parts.meter.requests,
            "failures": self.parts.meter.failures,
        }

    async def aclose(self) -> None:
        """End what runs beside the requests, and close the connections."""
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self.parts.upstream.aclose)
            closing.push_async_callback(self.parts.refresher.aclose)
            closing.push_async_callback(self.parts.health.aclose)
            closing.push_async_callback(self.parts.answer_check.aclose)
