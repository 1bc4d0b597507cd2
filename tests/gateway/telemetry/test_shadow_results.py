"""Results of shadows as series."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from gateway.core.telemetry import ShadowFinished
from gateway.telemetry.shadow_results import MAX_SHADOWS, ShadowResults


def text_of(results: ShadowResults) -> str:
    registry = CollectorRegistry()
    registry.register(results)
    return generate_latest(registry).decode()


def test_results_and_times_by_route() -> None:
    """What came later and what came sooner are apart, so that neither sum ever falls."""
    results = ShadowResults()
    for event in (
        ShadowFinished("a", "agreed", 0.002),
        ShadowFinished("a", "agreed", -0.5),
        ShadowFinished("a", "dropped"),
        ShadowFinished("b", "agreed", 0.0),
    ):
        results.finished(event)

    text = text_of(results)

    for line in (
        'edgeway_shadows_total{result="agreed",route="a"} 2.0',
        'edgeway_shadows_total{result="dropped",route="a"} 1.0',
        'edgeway_shadows_total{result="agreed",route="b"} 1.0',
        'edgeway_shadow_later_seconds_bucket{le="0.001",route="a"} 0.0',
        'edgeway_shadow_later_seconds_bucket{le="0.0025",route="a"} 1.0',
        'edgeway_shadow_later_seconds_count{route="b"} 1.0',
        'edgeway_shadow_sooner_seconds_sum{route="a"} 0.5',
    ):
        assert line in text.splitlines()


def test_labels_are_bounded() -> None:
    """A policy may have thousands of routes, and the next one has others."""
    results = ShadowResults()

    for number in range(MAX_SHADOWS + 10):
        results.finished(ShadowFinished(f"r{number}", "agreed", 0.1))
    results.finished(ShadowFinished("r0", "agreed", 0.1))

    lines = text_of(results).splitlines()
    assert 'edgeway_shadows_total{result="agreed",route="other"} 10.0' in lines
    assert 'edgeway_shadows_total{result="agreed",route="r0"} 2.0' in lines
    assert sum(line.startswith("edgeway_shadows_total{") for line in lines) == MAX_SHADOWS + 1
    assert repr(results) == f"<ShadowResults of {MAX_SHADOWS} routes>"
