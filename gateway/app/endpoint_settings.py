"""The gateway's own settings of resilience, with what the policy says of one endpoint in their place."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from resilience.settings import BreakerSettings, BulkheadSettings
from routing.policy import Endpoint


def breaker_settings(settings: BreakerSettings, definition: Endpoint) -> BreakerSettings:
    """Return when members of the endpoint are out, and how their health is checked.

    Raises:
        ValueError: the two together contradict each other.
    """
    wanted = _named(definition.outlier_detection)
    changes: dict[str, Any] = {}
    if (consecutive := wanted.pop("consecutive_5xx", None)) is not None:
        changes["consecutive_5xx"] = consecutive
    if wanted:
        changes["outlier_detection"] = replace(settings.outlier_detection, **wanted)
    if definition.health_check is not None:
        checks = _named(definition.health_check)
        # What is asked for in a check concerns the wire; the rest is when and how often.
        del checks["path"], checks["service"]
        changes["health_check"] = replace(settings.health_check, **checks)
    return replace(settings, **changes) if changes else settings


def bulkhead_settings(settings: BulkheadSettings, definition: Endpoint) -> BulkheadSettings:
    """Return how many requests may be under way at one member of the endpoint."""
    if definition.max_concurrency is None:
        return settings
    return replace(settings, max_concurrency=definition.max_concurrency)


def _named(struct: msgspec.Struct) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(struct).items() if value is not None}
