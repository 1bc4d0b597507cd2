"""What an operator sees of the caches of this process: what levels hold, how they did, what is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from cache.early_refresh import EarlyRefreshes
from cache.levels.level import Level, Levels
from cache.single_flight import SingleFlight
from gateway.app.cache_inspection import CacheInspector
from gateway.app.computed_features import ComputedParts
from gateway.app.foundation import Foundation
from gateway.app.parts import CacheParts
from gateway.core.cache_events import CacheLookedUp
from gateway.core.cache_inspection import CacheQuestion, Inspection
from gateway.core.cache_levels import L3
from gateway.core.cache_report import (
    CACHED,
    AnswersReport,
    CacheReport,
    LevelReport,
    added,
    answers_report,
    hit_ratio,
    most,
)
from gateway.core.control import CacheControl
from gateway.telemetry.cache_metrics import CacheMetrics, CacheWork, LevelRow
from gateway.telemetry.lately import Lately
from gateway.telemetry.requests import Requests
from gateway.wire.travelling import TravellingHeaders
from resilience.circuit import Circuit


@dataclass(frozen=True, slots=True)
class OperatedCache:
    """The caches in use.

    ``lately``: the look-ups of the last minute. ``inspector``: answers questions about one answer.
    ``computed``: what keeps features, where there is any.
    """

    cache: CacheParts
    requests: Requests
    metrics: CacheMetrics
    lately: Lately[CacheLookedUp]
    inspector: Callable[[CacheQuestion], Awaitable[Inspection]]
    computed: ComputedParts | None = None

    async def report(self, top: int) -> CacheReport:
        """Return what they hold and how they did since the start."""
        pairs = _answers(self.requests)
        answers = added(each.by for each in pairs)
        work = self.work()
        return CacheReport(
            enabled=True,
            answers=answers,
            hit_ratio=hit_ratio(answers, CACHED),
            levels=tuple(map(self._level, (*self.cache.levels, *self._feature_levels()))),
            flights={
                "running": work.flights,
                "waiting": work.waiting,
                "joined": self.metrics.joined.total(),
            },
            refreshes=work.refreshes,
            gates={name: gate.state for name, gate in self._gates().items()},
            top=most(pairs, top),
        )

    async def inspect(self, question: CacheQuestion) -> Inspection:
        """Return what is known of one answer.

        Raises:
            GatewayError: INVALID, NOT_FOUND.
        """
        return await self.inspector(question)

    def rows(self) -> Iterator[LevelRow]:
        """Yield the levels in this process, for the metrics."""
        features = self._feature_levels()
        for near in (self.cache.levels[0], *((features[0],) if features else ())):
            stats = near.stats()
            yield LevelRow(
                near.name,
                entries=stats.entries,
                bytes=stats.bytes,
                max_bytes=stats.max_bytes,
                evictions={cause: (each.entries, each.bytes) for cause, each in stats.evictions.items()},
                holders={each.holder: each.bytes for each in stats.holders},
                estimates=stats.estimates,
            )

    def work(self) -> CacheWork:
        """Return what is under way in all stacks that are still in use."""
        flights = [each for each in self.cache.flights if isinstance(each, SingleFlight)]
        refreshes = [each for each in self.cache.flights if isinstance(each, EarlyRefreshes)]
        return CacheWork(
            flights=sum(each.num_running for each in flights),
            waiting=sum(each.waiters for each in flights),
            refreshes=sum(each.num_running for each in refreshes),
        )

    def _feature_levels(self) -> Levels | tuple[()]:
        """Return the levels of features, once a model has any: most gateways have no model in two files."""
        if self.computed is None or not any(event.level == L3 for event in self.requests.lookups):
            return ()
        return self.computed.levels

    def _gates(self) -> dict[str, Circuit]:
        gates = dict(self.cache.gates)
        if self.computed is not None and self._feature_levels():
            gates.update(self.computed.gates)
        return gates

    def _level(self, level: Level) -> LevelReport:
        row = next((each for each in self.rows() if each.level == level.name), None)
        return LevelReport(
            level.name,
            state=(repr(level),),
            lookups=_outcomes(self.requests.lookups, level.name),
            recent_lookups=_outcomes(self.lately.counted(), level.name),
            entries=row.entries if row else None,
            bytes=row.bytes if row else None,
            max_bytes=row.max_bytes if row else None,
            evictions={cause: count for cause, (count, _) in row.evictions.items()} if row else {},
            lost=self.metrics.lost.counted(level.name),
            closed=self.metrics.closed.counted(level.name),
            holders=row.holders if row else {},
            estimates=row.estimates if row else {},
        ).rated()


def _outcomes(lookups: Mapping[CacheLookedUp, int], level: str) -> dict[str, int]:
    return {event.outcome: count for event, count in lookups.items() if event.level == level}


def _answers(requests: Requests) -> list[AnswersReport]:
    """Return the answers by model and tenant; what failed is none."""
    pairs: dict[tuple[str, str], dict[str, int]] = {}
    for (model, _, provenance, code, tenant), cell in requests.cells.items():
        if code == "ok":
            by = pairs.setdefault((model, tenant), {})
            by[provenance] = by.get(provenance, 0) + cell.count
    return [answers_report(*pair, by) for pair, by in pairs.items()]


def operate_cache(
    foundation: Foundation,
    cache: CacheParts,
    lifetimes: AsyncExitStack,
    computed: ComputedParts | None = None,
) -> OperatedCache:
    """Return what an operator sees of caches, and show it in the metrics until ``lifetimes`` end."""
    settings, requests = foundation.settings, foundation.requests
    lately = Lately(lambda: requests.lookups, foundation.clock)
    operated = OperatedCache(
        cache,
        requests,
        foundation.prometheus.caches,
        lately,
        CacheInspector(
            settings.region,
            foundation.in_force,
            cache,
            TravellingHeaders(settings.telemetry.propagators, settings.upstreams.forward_headers),
            foundation.offload,
            foundation.clock,
        ),
        computed,
    )
    foundation.prometheus.caches.watch(operated.rows, operated.work)
    watching = asyncio.create_task(lately.watch())

    async def stop() -> None:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    lifetimes.push_async_callback(stop)
    return operated


_: type[CacheControl] = OperatedCache
