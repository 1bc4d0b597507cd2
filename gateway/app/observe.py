"""Which filters watch a layer: its time for Prometheus always, its span only where tracing is on."""

from __future__ import annotations

from opentelemetry.trace import Tracer

from gateway.core.clock import Clock
from gateway.core.service import Filter
from gateway.core.stack import Layer
from gateway.core.telemetry import Telemetry
from gateway.telemetry.measure import Measure, Timed
from gateway.telemetry.tracing import Span, Trace


class Observed:
    """Makes the watching filters; without a tracer there are no spans in any stack."""

    def __init__(self, clock: Clock, telemetry: Telemetry, tracer: Tracer | None) -> None:
        self._clock, self._telemetry, self._tracer = clock, telemetry, tracer

    def __repr__(self) -> str:
        return f"<Observed {'with' if self._tracer else 'without'} spans>"

    def outermost(self) -> tuple[Layer, ...]:
        """Return Trace, if on, and Measure: everything else stands inside of these two."""
        measure = Layer(
            "measure",
            "Above Deadline and Admission, so that timeouts and refusals count.",
            Measure(self._clock, self._telemetry),
        )
        if not self._tracer:
            return (measure,)
        trace = Layer(
            "trace", "Outside of all that works: everything below is in its span.", Trace(self._tracer)
        )
        return trace, measure

    def layer(self, name: str, *, outward: bool = False) -> tuple[Filter, ...]:
        """Return what watches a layer that does real work: models, other processes."""
        timed = Timed(name, self._clock, self._telemetry)
        return (*self.span(name, outward=outward), timed)

    def span(self, name: str, *, outward: bool = False) -> tuple[Filter, ...]:
        """Return what watches a layer that must cost nothing when nobody traces."""
        return (Span(self._tracer, name, outward=outward),) if self._tracer else ()
