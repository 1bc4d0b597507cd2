"""The layer that mirrors the requests of a route, and why it stands where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from gateway.app.parts import Parts
from gateway.app.shadow_trials import ShadowTrials
from gateway.core.agreement import Tolerance
from gateway.core.request import Request, Response
from gateway.core.service import Service
from gateway.core.stack import Layer
from routing.mirror import Mirror
from routing.policy import Policy, Route
from routing.rules.order import View
from routing.shadow import Shadow


@runtime_checkable
class HasMirror(Protocol):
    """An endpoint at which copies of requests are told from requests."""

    async def mirror(self, request: Request) -> Response:
        """Answer a copy."""
        ...


def shadow_layers(
    parts: Parts, policy: Policy, route: Route, *, endpoints: Mapping[str, Service], view: View
) -> tuple[Layer, ...]:
    """Return the layer that mirrors ``route``; none where it has no shadow."""
    shadow = route.shadow
    if shadow is None:
        return ()
    names = [name for name in shadow.endpoints or route.endpoints if name in policy.endpoints]
    trials = ShadowTrials(
        route.name,
        parts.shadows.queue(max_in_flight=shadow.max_in_flight, max_waiting=shadow.max_waiting),
        mirrors={name: _mirror_of(endpoints[name]) for name in names},
        is_available=view.is_available,
        tolerance=_tolerance(shadow),
        clock=parts.clock,
        telemetry=parts.telemetry,
    )
    filter_ = Mirror(
        policy,
        route,
        shadow,
        parts.region,
        follow=trials,
        clock=parts.clock,
        chance=parts.chance,
        telemetry=parts.telemetry,
    )
    reason = (
        "Below the caches, whose answers nobody has computed: a hit stays what it is. Above the cascade and "
        "Retry, since a copy is for what was answered, and there is one of it however many attempts there "
        "were. It is sent when the answer is on its way, and nobody waits for it."
    )
    return (Layer("shadow", reason, filter_),)


def _mirror_of(endpoint: Service) -> Service:
    return endpoint.mirror if isinstance(endpoint, HasMirror) else endpoint


def _tolerance(shadow: Shadow) -> Tolerance:
    compare = shadow.compare
    return Tolerance(compare.rtol, compare.atol, frozenset(compare.top1), frozenset(compare.ignore))
