"""Metrics of the caches, by level."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from gateway.core.cache_events import CacheConnectionClosed, CacheEvent, CacheWriteLost, FlightShared
from gateway.telemetry.cache_metrics import CacheMetrics, CacheWork, LevelRow

ROW = LevelRow(
    "l1",
    entries=3,
    bytes=3000,
    max_bytes=1 << 20,
    evictions={"small": (7, 700), "quota": (0, 0)},
    holders={"acme": 2000},
    estimates={"double": 0.75},
)


def counted(*happened: CacheEvent) -> CacheMetrics:
    metrics = CacheMetrics(lambda model: model if model == "digits" else "other")
    handlers = metrics.handlers()
    for event in happened:
        handlers[type(event)](event)
    return metrics


def lines(metrics: CacheMetrics) -> list[str]:
    registry = CollectorRegistry()
    registry.register(metrics)
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def test_what_happens_is_counted() -> None:
    """By level and reason; of a model that only a client names, as another one's."""
    metrics = counted(
        CacheWriteLost("l2", "backlog"),
        CacheWriteLost("l2", "backlog"),
        CacheConnectionClosed("l2", "timeout"),
        FlightShared("digits"),
        FlightShared("guessed"),
    )

    assert sorted(lines(metrics)) == [
        'edgeway_cache_connections_closed_total{level="l2",reason="timeout"} 1.0',
        'edgeway_cache_writes_lost_total{level="l2",reason="backlog"} 2.0',
        'edgeway_flights_joined_total{model="digits"} 1.0',
        'edgeway_flights_joined_total{model="other"} 1.0',
    ]
    assert metrics.lost.counted("l2") == {"backlog": 2}
    assert metrics.lost.counted("l1") == {}
    assert metrics.joined.total() == 2


def test_levels_are_read_when_they_are_shown() -> None:
    """What they hold, what left them and why, and what is under way; zero is shown as well."""
    metrics = counted()
    rows: list[LevelRow] = []
    metrics.watch(lambda: rows, lambda: CacheWork(flights=2, waiting=9, refreshes=1))
    assert lines(metrics) == [
        "edgeway_flights 2.0",
        "edgeway_flight_waiters 9.0",
        "edgeway_cache_refreshes 1.0",
    ]

    rows.append(ROW)

    assert {
        'edgeway_cache_entries{level="l1"} 3.0',
        'edgeway_cache_bytes{level="l1"} 3000.0',
        'edgeway_cache_max_bytes{level="l1"} 1.048576e+06',
        'edgeway_cache_evictions_total{cause="small",level="l1"} 7.0',
        'edgeway_cache_evictions_total{cause="quota",level="l1"} 0.0',
        'edgeway_cache_evicted_bytes_total{cause="small",level="l1"} 700.0',
        'edgeway_cache_holder_bytes{holder="acme",level="l1"} 2000.0',
        'edgeway_cache_estimated_hit_ratio{level="l1",size="double"} 0.75',
    } <= set(lines(metrics))


def test_where_there_is_no_cache_nothing_of_it_is_shown() -> None:
    """A central tier has none."""
    assert lines(counted()) == []
