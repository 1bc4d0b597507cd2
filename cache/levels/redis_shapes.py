"""RedisRoutes to Redis in the shape that the settings name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cache.levels.redis_cluster import RedisCluster
from cache.levels.redis_connection import RedisConnector
from cache.levels.redis_control import MasterFinder
from cache.levels.redis_options import RedisOptions
from cache.levels.redis_place import RedisPlace
from cache.levels.redis_routes import OneRedis, RedisNode, RedisRoutes
from gateway.core.clock import Clock
from gateway.core.gate import Gate

if TYPE_CHECKING:
    from cache.levels.redis_settings import RedisSettings


def routes_of(
    settings: RedisSettings,
    gate: Gate,
    gate_of: Callable[[str], Gate] | None,
    clock: Clock,
    closed: Callable[[str], None],
) -> RedisRoutes:
    """Return the routes; nothing is connected yet.

    Raises:
        LevelError: the URL cannot be used.
    """
    place = RedisPlace.of(settings.url)
    timeout_s = settings.connect_timeout_ms / 1000
    find = None
    if place.shape == "sentinel":
        find = MasterFinder(place.master, place.servers, place.options, timeout_s=timeout_s, clock=clock)

    def node(options: RedisOptions, own: Gate) -> RedisNode:
        connector = RedisConnector(
            options,
            timeout_s=timeout_s,
            # The end of a GETRANGE is part of it.
            max_bulk_bytes=settings.max_value_bytes + 1,
            clock=clock,
            closed=closed,
            find=find,
        )
        return RedisNode(
            options,
            connector,
            own,
            timeout_s=settings.timeout_ms / 1000,
            connections=settings.max_connections,
        )

    def node_of_cluster(options: RedisOptions) -> RedisNode:
        return node(options, gate_of(f"{options.host}:{options.port}") if gate_of else gate)

    if place.shape == "cluster":
        return RedisCluster(place.servers, node_of_cluster, timeout_s=timeout_s, clock=clock)
    return OneRedis(node(place.options, gate))
