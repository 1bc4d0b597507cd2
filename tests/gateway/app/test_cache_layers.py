"""When a route keeps no answers, and what it says of that."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from cache.levels.memory import MemoryLevel, MemorySettings
from edge_models.licence import Artefacts, Licence
from gateway.app.cache_layers import why_uncached
from gateway.app.parts import RouteEdgeModel
from gateway.core.telemetry import Silence
from routing.caching import RouteCache
from routing.policy import Route
from tests.edge_models.decisions import decision
from tests.fakes.service import ScriptedService, answer
from tests.fakes.telemetry import RecordingTelemetry

DIGEST = "sha256:" + "1" * 64
LEVELS = (MemoryLevel(MemorySettings(), Silence()),)
KEPT = Route(name="digits", digest=DIGEST)


def edge_model(telemetry: RecordingTelemetry, response_cache: bool | None) -> RouteEdgeModel:
    licence = Licence(
        "digits",
        decision=decision(),
        threshold=0.5,
        artefacts=Artefacts(DIGEST, DIGEST),
        proof="certificate",
        telemetry=telemetry,
        now=float,
    )
    return RouteEdgeModel("digits", ScriptedService(answer()), licence, DIGEST, response_cache=response_cache)


@pytest.mark.parametrize(
    ("route", "why"),
    [
        (KEPT, ""),
        (
            replace(KEPT, cache=RouteCache(enabled=False)),
            "route 'digits' of the policy has `cache: {enabled: false}`",
        ),
        (
            replace(KEPT, cache=RouteCache(levels=("l2",))),
            "route 'digits' of the policy uses l2 alone, which is not here",
        ),
        (replace(KEPT, cache=RouteCache(levels=("l1", "l2"))), ""),
        (replace(KEPT, digest=""), "route 'digits' of the policy has no digest of what answers"),
    ],
    ids=["kept", "not enabled", "not here", "one is here", "no digest"],
)
def test_why_nothing_is_kept(route: Route, why: str) -> None:
    assert why_uncached(route, None, LEVELS) == why


@pytest.mark.parametrize(
    ("response_cache", "is_named"), [(None, False), (True, False), (False, True)], ids=["silent", "on", "off"]
)
def test_the_edge_model_has_a_say(telemetry: RecordingTelemetry, response_cache: Any, is_named: bool) -> None:
    """Its own configuration may forbid it."""
    why = why_uncached(KEPT, edge_model(telemetry, response_cache), LEVELS)

    assert ("response_cache" in why) is is_named
