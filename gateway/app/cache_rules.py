"""What a route's ``cache`` block makes of the gateway's cache: its settings, its levels, and what lacks."""

from __future__ import annotations

from typing import Any

import msgspec

from cache.levels.absent import AbsentLevel
from cache.levels.level import Levels
from cache.settings import CacheSettings
from gateway.core.cache_levels import L1, WARM
from routing.caching import RouteCache, TtlByProvenance

_OF_BOTH = (
    "ttl_s",
    "stale_while_revalidate_s",
    "stale_if_error_s",
    "negative_ttl_s",
    "ignore_request_cache_control",
    "status_headers",
)


def settings_of(settings: CacheSettings, rules: RouteCache) -> CacheSettings:
    """Return the gateway's settings with what the route says instead.

    The route's ``ttl_s`` goes before all times of the settings but that of uncertified answers, and its
    ``ttl_by_provenance`` before that.
    """
    changes: dict[str, Any] = {
        name: value for name in _OF_BOTH if (value := getattr(rules, name)) is not None
    }
    if rules.ttl_s is not None:
        changes |= {"central_ttl_s": None, "edge_ttl_s": None}
    by = rules.ttl_by_provenance or TtlByProvenance()
    named = {
        "central_ttl_s": by.central_s,
        "edge_ttl_s": by.edge_s,
        "uncertified_ttl_s": by.edge_uncertified_s,
    }
    changes |= {name: value for name, value in named.items() if value is not None}
    return msgspec.structs.replace(settings, **changes)


def levels_of(levels: Levels, rules: RouteCache) -> Levels:
    """Return those of the gateway's levels that the route uses; an absent one first where that is not L1.

    What neighbours sent ahead is in this process, as L1 is, and is used where L1 is.
    """
    if rules.levels is None:
        return levels
    near, *far = levels
    names = {*rules.levels, WARM} if L1 in rules.levels else set(rules.levels)
    chosen = tuple([level for level in far if level.name in names])
    return (near if L1 in rules.levels else AbsentLevel(), *chosen)


def lacking(levels: Levels, rules: RouteCache) -> tuple[str, ...]:
    """Return the levels that the route names and this gateway does not have."""
    names = {level.name for level in levels}
    return tuple([name for name in rules.levels or () if name not in names])
