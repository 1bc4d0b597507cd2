"""Requests and look-ups, counted in plain numbers."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from gateway.core.cache_events import CacheLookedUp
from gateway.core.telemetry import RequestFinished
from gateway.telemetry.requests import MAX_KINDS, MAX_MODELS, Requests
from gateway.telemetry.series import LATENCY_BUCKETS_S


def shown(requests: Requests) -> list[str]:
    registry = CollectorRegistry()
    registry.register(requests)
    return generate_latest(registry).decode().splitlines()


def finished(**changes) -> RequestFinished:
    fields = {"model": "m", "provenance": "l1", "code": "ok", "seconds": 0.002, "version": "1"}
    return RequestFinished(**{**fields, **changes})


def test_series_add_up_over_versions() -> None:
    """A dashboard sees models and provenances; versions are for the protocol's statistics."""
    requests = Requests(lambda: 7.0)
    for version in ("1", "1", "2"):
        requests.finished(finished(version=version))

    lines = shown(requests)

    assert 'edgeway_requests_total{code="ok",model="m",provenance="l1"} 3.0' in lines
    assert 'edgeway_request_seconds_bucket{le="0.0025",provenance="l1"} 3.0' in lines
    assert 'edgeway_request_seconds_bucket{le="0.001",provenance="l1"} 0.0' in lines
    assert 'edgeway_request_seconds_count{provenance="l1"} 3.0' in lines
    assert 'edgeway_request_seconds_sum{provenance="l1"} 0.006' in lines
    assert {key[1]: cell.count for key, cell in requests.cells.items()} == {"1": 2, "2": 1}
    assert all(cell.last_s == 7.0 for cell in requests.cells.values())


def test_buckets_hold_their_upper_bounds() -> None:
    """As Prometheus has it: less or equal; what is beyond the last is in +Inf only."""
    requests = Requests(lambda: 0.0)
    requests.finished(finished(seconds=LATENCY_BUCKETS_S[-1]))
    requests.finished(finished(seconds=LATENCY_BUCKETS_S[-1] + 1))

    lines = shown(requests)

    assert 'edgeway_request_seconds_bucket{le="15.0",provenance="l1"} 1.0' in lines
    assert 'edgeway_request_seconds_bucket{le="+Inf",provenance="l1"} 2.0' in lines


def test_lookups() -> None:
    """Look-ups are counted by level and outcome."""
    requests = Requests(lambda: 0.0)
    for _ in range(2):
        requests.looked_up(CacheLookedUp("l1", "hit"))

    assert 'edgeway_cache_lookups_total{level="l1",outcome="hit"} 2.0' in shown(requests)


def test_tenants_are_told_apart() -> None:
    """As far as there is room; Prometheus is told of all together."""
    requests = Requests(lambda: 0.0)
    for number in range(MAX_KINDS + 10):
        requests.finished(finished(tenant=f"tenant-{number}"))

    assert len(requests.cells) == MAX_KINDS + 1
    assert requests.cells["m", "", "l1", "ok", ""].count == 10
    total = MAX_KINDS + 10
    assert f'edgeway_requests_total{{code="ok",model="m",provenance="l1"}} {total}.0' in shown(requests)


def test_a_flood_of_names_and_versions_is_bounded() -> None:
    """What strangers invent takes no memory, whether it fails or, on a route that takes all names, answers."""
    requests = Requests(lambda: 0.0)
    for number in range(5000):
        requests.finished(finished(model=f"guess-{number}", code="not_found", version=f"{number}"))
        requests.finished(finished(model=f"model-{number}", version=f"{number}"))

    assert len(requests.cells) <= MAX_MODELS + 3
    assert repr(requests) == f"<Requests {len(requests.cells)} kinds, {MAX_MODELS} models>"
