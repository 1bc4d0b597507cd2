"""The filter that has copies of answered requests sent to the shadow of a route."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import msgspec
from msgspec.structs import replace

from gateway.core.clock import Chance, Clock
from gateway.core.request import SEQUENCE, Request, Response
from gateway.core.service import Filter, Pending, Service
from gateway.core.telemetry import ShadowFinished, Telemetry
from routing.policy import Policy, Route
from routing.rules.shadow_endpoints import shadow_endpoints
from routing.shadow import Shadow

_REMEMBERED: Final = 256


class Mirrored(msgspec.Struct, frozen=True, eq=False):
    """A request that has been answered, and its copy.

    ``endpoints``: those that may see the copy, in order; there is one at least. ``seconds``: what the answer
    took, all layers below this one together.
    """

    copy: Request
    endpoints: tuple[str, ...]
    response: Response
    seconds: float


class Mirror:
    """Hands what was answered to ``follow``, which returns at once; the caller's answer goes on unchanged.

    Steps of sequences are not mirrored: a copy would be a step as well. Neither are requests that another
    gateway has sent: it has mirrored them, or may not. A request that must not be kept in this region is not
    mirrored either, and no copy goes to an endpoint outside of the regions that were fixed for the request.
    What was not answered has nothing that a shadow could be compared with, and needs no more load.

    It stands inside of Residency, and its copies have passed every layer above.
    """

    def __init__(
        self,
        policy: Policy,
        route: Route,
        shadow: Shadow,
        region: str,
        *,
        follow: Callable[[Mirrored], None],
        clock: Clock,
        chance: Chance,
        telemetry: Telemetry,
    ) -> None:
        self._policy, self._route, self._shadow, self._region = policy, route, shadow, region
        self._follow, self._clock, self._chance, self._telemetry = follow, clock, chance, telemetry
        self._share = shadow.percent / 100
        # The sets of regions are those of the policy's classes, so they are few.
        self._reachable = lru_cache(_REMEMBERED)(self._find)

    def __repr__(self) -> str:
        shadow = self._shadow
        names = ", ".join(self._reachable(frozenset(self._policy.regions))) or "no endpoint"
        version = f", version {shadow.version}" if shadow.version else ""
        return f"<Mirror {shadow.percent:g} % to {names}{version}: {self._follow!r}>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Answer as ``service`` does."""
        if not self._is_drawn(request):
            return service(request)
        began = self._clock.tick()
        answered = service(request)
        if isinstance(answered, Response):
            self._mirror(request, answered, began)
            return answered
        return self._wait(request, answered, began)

    async def _wait(self, request: Request, pending: Pending, began: float) -> Response:
        response = await pending
        self._mirror(request, response, began)
        return response

    def _is_drawn(self, request: Request) -> bool:
        if request.hops or SEQUENCE in request.parameters:
            return False
        shadow = self._shadow
        if shadow.version and shadow.version == request.version and not shadow.endpoints:
            # It is what answers: a canary has chosen that version.
            return False
        return self._share >= 1 or self._chance.random() < self._share

    def _mirror(self, request: Request, response: Response, began: float) -> None:
        names = self._reachable(request.regions or frozenset())
        if not names:
            self._telemetry.emit(ShadowFinished(self._route.name, "outside_residency"))
            return
        copy = replace(
            request,
            version=self._shadow.version or request.version,
            deadline=self._clock.now() + self._shadow.timeout_ms / 1000,
            attempt=0,
            tried=(),
            trace=(),
            key=b"",
        )
        self._follow(Mirrored(copy, names, response, self._clock.tick() - began))

    def _find(self, regions: frozenset[str]) -> tuple[str, ...]:
        return shadow_endpoints(self._policy, self._route, self._shadow, self._region, regions)


_: Callable[..., Filter] = Mirror
