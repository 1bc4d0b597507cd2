"""Plain numbers that become Prometheus's series."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.registry import Collector

from gateway.telemetry.series import Counts, Gauges, Spreads

BOUNDS = (0.001, 1.0, 16)


def rendered(series: Collector) -> bytes:
    registry = CollectorRegistry()
    registry.register(series)
    return generate_latest(registry)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 20) | st.sampled_from(BOUNDS))))
def test_what_prometheus_says_of_the_same_values(values: list[tuple[str, float]]) -> None:
    """To the byte, values on a bound included."""
    theirs = CollectorRegistry()
    histogram = Histogram("took_seconds", "Time", ["layer"], buckets=BOUNDS, registry=theirs)
    ours = Spreads("took_seconds", "Time", "layer", bounds=BOUNDS)

    for label, value in values:
        histogram.labels(label).observe(value)
        ours.observe(label, value)

    said = [line for line in generate_latest(theirs).splitlines() if b"_created" not in line]
    assert rendered(ours).splitlines() == said


def test_a_counter() -> None:
    """It counts each set of labels for itself."""
    theirs = CollectorRegistry()
    counter = Counter("decided", "What", ["model", "outcome"], registry=theirs)
    ours = Counts("decided", "What", "model", "outcome")

    for labels in (("digits", "answered"), ("digits", "deferred"), ("digits", "answered")):
        counter.labels(*labels).inc()
        ours.count(*labels)

    said = [line for line in generate_latest(theirs).splitlines() if b"_created" not in line]
    assert rendered(ours).splitlines() == said
    assert "2 series" in repr(ours)


def test_a_gauge() -> None:
    """It keeps the last value."""
    theirs = CollectorRegistry()
    gauge = Gauge("depth", "How many", ["model"], registry=theirs)
    ours = Gauges("depth", "How many", "model")

    for value in (3, 1):
        gauge.labels("digits").set(value)
        ours.set("digits", value)

    assert rendered(ours) == generate_latest(theirs)
    assert "digits" in repr(ours)


@pytest.mark.parametrize(
    "series", [Counts("a", "A", "b"), Gauges("a", "A", "b"), Spreads("a", "A", "b", bounds=BOUNDS)]
)
def test_before_anything_happened(series: Collector) -> None:
    """There is the series' name, and nothing else."""
    assert all(line.startswith(b"#") for line in rendered(series).splitlines())
