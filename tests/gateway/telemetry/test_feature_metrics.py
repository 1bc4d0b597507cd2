"""Metrics of looked-up features."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from gateway.core import feature_events as events
from gateway.telemetry.feature_metrics import FeatureMetrics


def test_every_number_of_an_event_shows() -> None:
    registry = CollectorRegistry()
    metrics = FeatureMetrics(registry.register)
    handlers = metrics.handlers()
    for event in (
        events.FeaturesLookedUp("users", "hit", 3),
        events.FeaturesLookedUp("users", "hit", 2),
        events.FeaturesFetched("users", "ok", found=2, absent=1),
        events.FeaturesFetched("users", "timeout", failed=4),
        events.FeaturesFilled("users", "default"),
        events.KnownIdsListed("users", 10, fill=0.8, false_positives=0.002),
        events.KnownIdsListed("users", 0, error="timeout"),
    ):
        handlers[type(event)](event)

    text = generate_latest(registry).decode()
    for line in (
        'edgeway_feature_entities_total{outcome="hit",store="users"} 5.0',
        'edgeway_feature_round_trips_total{outcome="ok",store="users"} 1.0',
        'edgeway_feature_round_trips_total{outcome="timeout",store="users"} 1.0',
        'edgeway_feature_fetched_total{outcome="found",store="users"} 2.0',
        'edgeway_feature_fetched_total{outcome="absent",store="users"} 1.0',
        'edgeway_feature_fetched_total{outcome="failed",store="users"} 4.0',
        'edgeway_feature_lacking_total{how="default",store="users"} 1.0',
        'edgeway_feature_listings_total{outcome="timeout",store="users"} 1.0',
        'edgeway_feature_known_ids{store="users"} 10.0',
        'edgeway_feature_bloom_fill{store="users"} 0.8',
        'edgeway_feature_bloom_false_positives{store="users"} 0.002',
    ):
        assert line in text
    assert "FeatureMetrics" in repr(metrics)
