"""Which filters watch a layer."""

from __future__ import annotations

from opentelemetry.trace import NoOpTracer

from gateway.app.observe import Observed
from gateway.core.clock import LoopClock
from gateway.core.telemetry import Silence
from gateway.telemetry.measure import Measure, Timed
from gateway.telemetry.tracing import Span, Trace


def kinds(filters) -> list[type]:
    return [type(filter_) for filter_ in filters]


def test_tracing_is_free_when_it_is_off() -> None:
    """Without a tracer there is no span in any stack, not even an idle one."""
    observed = Observed(LoopClock(), Silence(), None)

    assert kinds(layer.filter for layer in observed.outermost()) == [Measure]
    assert kinds(observed.layer("upstream", outward=True)) == [Timed]
    assert kinds(observed.span("cache")) == []
    assert repr(observed) == "<Observed without spans>"


def test_every_layer_is_a_span_when_it_is_on() -> None:
    """Trace stands outside of Measure, a layer's span outside of its timer."""
    observed = Observed(LoopClock(), Silence(), NoOpTracer())

    assert kinds(layer.filter for layer in observed.outermost()) == [Trace, Measure]
    assert kinds(observed.layer("upstream")) == [Span, Timed]
    assert kinds(observed.span("cache")) == [Span]
    assert repr(observed) == "<Observed with spans>"
