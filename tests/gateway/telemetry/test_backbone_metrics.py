"""What is counted of backbones."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, generate_latest

from gateway.core.cache_events import FeaturesComputed
from gateway.telemetry.backbone_metrics import feature_handlers


def test_runs_rows_and_seconds_are_counted_by_model() -> None:
    registry = CollectorRegistry()
    handlers = feature_handlers(lambda name, text, *labels: Counter(name, text, labels, registry=registry))

    for event in (FeaturesComputed("a", 2, 0.5), FeaturesComputed("a", 1, 0.25), FeaturesComputed("b", 1, 1)):
        handlers[FeaturesComputed](event)

    text = generate_latest(registry).decode()
    assert 'backbone_runs_total{model="a"} 2.0' in text
    assert 'backbone_rows_total{model="a"} 3.0' in text
    assert 'backbone_seconds_total{model="a"} 0.75' in text
    assert 'backbone_runs_total{model="b"} 1.0' in text
