"""Events to Prometheus."""

from __future__ import annotations

import typing

import pytest

from gateway.core import cache_events, feature_events
from gateway.core import telemetry as events
from gateway.telemetry.prometheus import Prometheus
from gateway.telemetry.requests import MAX_MODELS, Requests
from gateway.telemetry.runs import Runs

SAMPLES = {
    events.RequestFinished(
        "digits", "l1", "ok", 0.001
    ): 'edgeway_requests_total{code="ok",model="digits",provenance="l1"} 1.0',
    events.LayerTimed("upstream", 0.01): 'edgeway_layer_seconds_count{layer="upstream"} 1.0',
    cache_events.CacheLookedUp(
        "l2", "garbage"
    ): 'edgeway_cache_lookups_total{level="l2",outcome="garbage"} 1.0',
    cache_events.CacheWriteLost(
        "l2", "error"
    ): 'edgeway_cache_writes_lost_total{level="l2",reason="error"} 1.0',
    feature_events.FeaturesLookedUp(
        "users", "hit", 2
    ): 'edgeway_feature_entities_total{outcome="hit",store="users"} 2.0',
    feature_events.FeaturesFetched(
        "users", "ok"
    ): 'edgeway_feature_round_trips_total{outcome="ok",store="users"} 1.0',
    feature_events.FeaturesFilled(
        "users", "stale"
    ): 'edgeway_feature_lacking_total{how="stale",store="users"} 1.0',
    feature_events.KnownIdsListed("users", 7): 'edgeway_feature_known_ids{store="users"} 7.0',
    cache_events.InvalidationRead("eu", "model+tenant"): (
        'edgeway_invalidations_total{kind="model+tenant",region="eu"} 1.0'
    ),
    cache_events.InvalidationLogRead("us", "unreachable", 7.5): (
        'edgeway_invalidation_lag_seconds{region="us"} 7.5'
    ),
    events.GeoLoaded(1_700_000_000, "", "x.mmdb"): (
        'edgeway_geo_build_timestamp_seconds{database="x.mmdb"} 1.7e+09'
    ),
    events.GeoLoaded(1, "bad", "x.mmdb"): (
        'edgeway_geo_loads_total{database="x.mmdb",outcome="refused"} 1.0'
    ),
    cache_events.CacheConnectionClosed("l2", "protocol"): (
        'edgeway_cache_connections_closed_total{level="l2",reason="protocol"} 1.0'
    ),
    cache_events.CacheLogLinesLost(3): "edgeway_request_log_lines_lost_total 3.0",
    cache_events.CacheLeased("l2", "won"): 'edgeway_cache_leases_total{level="l2",outcome="won"} 1.0',
    cache_events.CacheWarmed("eu", "sent", 2, 700): (
        'edgeway_cache_warming_keys_total{neighbour="eu",outcome="sent"} 2.0'
    ),
    cache_events.CacheVerified("r", "agreed"): (
        'edgeway_cache_verifications_total{result="agreed",route="r"} 1.0'
    ),
    cache_events.FeaturesComputed("digits", 3, 0.5): 'edgeway_backbone_rows_total{model="digits"} 3.0',
    cache_events.CacheSealRejected("l2", "seal"): (
        'edgeway_cache_sealed_rejects_total{level="l2",reason="seal"} 1.0'
    ),
    cache_events.CacheWriteHeldBack("l2"): 'edgeway_cache_writes_held_back_total{level="l2"} 1.0',
    cache_events.FlightShared("digits"): 'edgeway_flights_joined_total{model="digits"} 1.0',
    events.CascadeDecided(
        "digits", "deferred", "unsure"
    ): 'edgeway_cascade_decisions_total{model="digits",outcome="deferred",reason="unsure"} 1.0',
    events.CertificateRefused(
        "digits", "edge_digest"
    ): 'edgeway_certificates_refused_total{field="edge_digest",model="digits"} 1.0',
    events.CertificateJudged("digits", True): 'edgeway_certificate_valid{model="digits"} 1.0',
    events.RunCut("digits", "stopped"): 'edgeway_model_runs_cut_total{model="digits",outcome="stopped"} 1.0',
    events.BatchRan("digits", 16, 4, 0.001, 0.002): 'edgeway_batch_rows_bucket{le="16.0",model="digits"} 1.0',
    events.ModelsRefused(2, 1): 'edgeway_models_refused{kind="bad"} 2.0',
    events.QueueChanged("digits", 3): 'edgeway_queue_depth{model="digits"} 3.0',
    events.BreakerAppeared("central"): 'edgeway_breaker_state{endpoint="central"} 0.0',
    events.BreakerGone("central"): 'edgeway_breaker_state{endpoint="redis"} 0.0',
    events.BreakerChanged("central", "open"): 'edgeway_breaker_state{endpoint="central"} 2.0',
    events.RetryScheduled(1, "unavailable", 0.02): 'edgeway_retries_total{fault="unavailable"} 1.0',
    events.RetryDenied("budget"): 'edgeway_retries_denied_total{reason="budget"} 1.0',
    events.HedgeEnded("won"): 'edgeway_hedges_total{outcome="won"} 1.0',
    events.HedgeDenied("percent"): 'edgeway_hedges_denied_total{reason="percent"} 1.0',
    events.Refused(
        "admission", "concurrency"
    ): 'edgeway_refusals_total{layer="admission",reason="concurrency"} 1.0',
    events.ShadowFinished(
        "digits", "differed", -0.002
    ): 'edgeway_shadows_total{result="differed",route="digits"} 1.0',
    events.PolicyLoaded(7, ""): "edgeway_policy_generation 7.0",
}


def prometheus_of() -> Prometheus:
    return Prometheus(Requests(lambda: 12.5), Runs())


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_every_event_shows(event: events.Event) -> None:
    """Each kind of event moves its own series."""
    prometheus = prometheus_of()
    prometheus.emit(events.PolicyLoaded(1, "", ("digits",)))
    if isinstance(event, events.BreakerGone):
        for endpoint in ("redis", event.endpoint):
            prometheus.emit(events.BreakerAppeared(endpoint))

    prometheus.emit(event)

    assert SAMPLES[event] in prometheus.render().decode()


def test_every_kind_of_event_has_a_sample_here() -> None:
    """A new event cannot be forgotten."""
    assert {type(event) for event in SAMPLES} == set(typing.get_args(events.Event))


def test_refused_policy_counts_and_keeps_the_generation() -> None:
    """A refused load is counted; the gauge still tells the generation in force."""
    prometheus = prometheus_of()

    prometheus.emit(events.PolicyLoaded(3, ""))
    prometheus.emit(events.PolicyLoaded(3, "line 4: unknown field"))

    text = prometheus.render().decode()
    assert 'edgeway_policy_loads_total{outcome="refused"} 1.0' in text
    assert "edgeway_policy_generation 3.0" in text


def test_unknown_models_never_become_labels() -> None:
    """A scanner that asks for a million models adds one series."""
    prometheus = prometheus_of()

    for number in range(1000):
        prometheus.emit(events.RequestFinished(f"guess-{number}", "none", "not_found", 0.001))

    text = prometheus.render().decode()
    assert "guess" not in text
    assert 'edgeway_requests_total{code="not_found",model="unknown",provenance="none"} 1000.0' in text


def test_an_endpoint_that_is_gone_leaves_no_state() -> None:
    """A dashboard must not show for ever that an endpoint of last year is open."""
    prometheus = prometheus_of()
    prometheus.emit(events.BreakerAppeared("central"))
    prometheus.emit(events.BreakerChanged("central", "open"))

    prometheus.emit(events.BreakerGone("central"))
    gone = prometheus.render().decode()
    prometheus.emit(events.BreakerAppeared("central"))

    assert 'breaker_state{endpoint="central"}' not in gone
    assert 'edgeway_breaker_state{endpoint="central"} 0.0' in prometheus.render().decode()


def test_names_that_never_answered_take_no_label_from_those_who_do() -> None:
    """A stranger who invents names on a route that takes every one cannot hide the real models."""
    prometheus = prometheus_of()
    for number in range(1000):
        prometheus.emit(events.RequestFinished(f"guess-{number}", "none", "unavailable", 0.001))
        prometheus.emit(cache_events.FlightShared(f"guess-{number}"))

    prometheus.emit(events.RequestFinished("digits", "edge", "ok", 0.001))
    prometheus.emit(events.PolicyLoaded(1, "", ("birds",)))
    prometheus.emit(events.RequestFinished("birds", "none", "unavailable", 0.001))

    text = prometheus.render().decode()
    assert "guess" not in text
    assert 'edgeway_requests_total{code="ok",model="digits",provenance="edge"} 1.0' in text
    assert 'edgeway_requests_total{code="unavailable",model="birds",provenance="none"} 1.0' in text


def test_models_beyond_the_bound_are_counted_as_other() -> None:
    """Labels are bounded even when a route takes every name."""
    prometheus = prometheus_of()

    for number in range(MAX_MODELS + 5):
        prometheus.emit(events.RequestFinished(f"m{number}", "edge", "ok", 0.001))

    assert (
        'edgeway_requests_total{code="ok",model="other",provenance="edge"} 5.0'
        in prometheus.render().decode()
    )
    assert repr(prometheus).endswith(f"{MAX_MODELS} models>>")


def test_what_is_held_against_an_endpoint_is_a_label() -> None:
    """One word, while it is not closed; what is held against one model does not make the endpoint open."""
    prometheus = prometheus_of()
    prometheus.emit(events.PolicyLoaded(1, "", ("digits",)))
    prometheus.emit(events.BreakerAppeared("central"))
    prometheus.emit(events.BreakerChanged("central", "open", "refused"))
    prometheus.emit(events.BreakerChanged("central", "half_open", "timeout"))
    prometheus.emit(events.BreakerChanged("central", "open", "500", "digits"))

    text = prometheus.render().decode()
    assert 'edgeway_breaker_open{endpoint="central",model="",reason="timeout"} 1.0' in text
    assert 'edgeway_breaker_open{endpoint="central",model="digits",reason="500"} 1.0' in text
    assert 'reason="refused"' not in text
    assert 'edgeway_breaker_state{endpoint="central"} 1.0' in text

    prometheus.emit(events.BreakerChanged("central", "closed"))
    assert 'edgeway_breaker_open{endpoint="central",model=""' not in prometheus.render().decode()
    prometheus.emit(events.BreakerGone("central"))
    assert "edgeway_breaker_open{" not in prometheus.render().decode()
