"""What a route has of other processes' work, and of central's: leases, and answers that are verified."""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from cache.early_refresh import EarlyRefreshes
from cache.leases import Leases, LeasingLevel
from cache.levels.level import Levels, NearLevel
from cache.settings import CacheSettings
from cache.verification import CountedLevel, PopularAnswers, VerifyingRefreshes
from gateway.app.parts import Parts, RouteEdgeModel, timeout_s
from gateway.app.verification import CentralTier, central_check, verification_room
from gateway.core.service import Filter
from routing.caching import RouteCache
from routing.policy import Route

_LEAST_BETA: Final = 1e-9


def leases_of(parts: Parts, route: Route, levels: Levels) -> Leases | None:
    """Return the leases of a route; None: none of its ``levels`` grants any, or it wants none."""
    level = next((level for level in levels if isinstance(level, LeasingLevel)), None)
    if level is None or not route.cache.lease:
        return None
    return Leases(level, clock=parts.clock, chance=parts.chance, telemetry=parts.telemetry)


def least_beta(settings: CacheSettings, rules: RouteCache) -> CacheSettings:
    """Return settings by which a popular answer is verified: where others are refreshed early."""
    if rules.verify_after is None or settings.early_beta:
        return settings
    return msgspec.structs.replace(settings, early_beta=_LEAST_BETA)


def refreshing(
    parts: Parts,
    route: Route,
    settings: CacheSettings,
    near: NearLevel,
    *,
    edge: RouteEdgeModel | None,
    central: CentralTier | None,
    fill: Filter,
) -> tuple[NearLevel, EarlyRefreshes]:
    """Return the first level as the look-up sees it, and the refreshes that it starts.

    ``fill``: keeps what central answers.
    """
    most, limit_s, after = settings.max_refreshes, timeout_s(parts, route), route.cache.verify_after
    if after is None or edge is None or central is None:
        return near, EarlyRefreshes(parts.clock, timeout_s=limit_s, most=most)
    popular = PopularAnswers(after)
    check = central_check(parts, route, central, near, edge.licence)
    refreshes = VerifyingRefreshes(
        parts.clock,
        timeout_s=limit_s,
        most=most,
        popular=popular,
        verify=partial(fill, service=check),
        may_verify=verification_room(parts, route, central, settings),
    )
    return CountedLevel(near, popular), refreshes
