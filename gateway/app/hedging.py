"""The layer that hedges, of the routes that have one."""

from __future__ import annotations

from typing import Final

from gateway.app.parts import Parts
from gateway.core.stack import Layer
from resilience.hedge import Hedge, HedgeSettings
from routing.policy import Route
from routing.router import Router

_REASON: Final = (
    "Below Retry, which goes on where no attempt of a race has failed; above the Router, which sends each "
    "where the others are not, inside the residency."
)


def hedge_layer(parts: Parts, route: Route, router: Router) -> tuple[Layer, ...]:
    """Return what hedges the requests of ``route``, if anything does."""
    if (wanted := route.hedge) is None:
        return ()
    settings = HedgeSettings(
        max_attempts=wanted.max_attempts,
        percentile=wanted.percentile,
        delay_s=None if wanted.delay_ms is None else wanted.delay_ms / 1000,
        min_delay_s=wanted.min_delay_ms / 1000,
        budget_percent=wanted.budget_percent,
    )
    hedge = Hedge(
        route.name,
        settings,
        latencies=parts.latencies,
        budget=parts.budget,
        has_other=router.has_other,
        clock=parts.clock,
        telemetry=parts.telemetry,
    )
    return (Layer("hedge", _REASON, hedge, parts.observed.span("hedge")),)
