"""Every event is counted; runs of models are counted twice, for two readers."""

from __future__ import annotations

from gateway.core.telemetry import BatchRan, BreakerChanged
from gateway.telemetry.counted import Counted
from tests.fakes.telemetry import RecordingTelemetry


def test_runs_reach_both() -> None:
    """The series hear of everything, the statistics of runs."""
    series, statistics = RecordingTelemetry(), RecordingTelemetry()
    counted = Counted(series, statistics)
    run = BatchRan("m", 1, 1, 0.0, 0.1)

    for event in (BreakerChanged("e", "open"), run):
        counted.emit(event)

    assert len(series.events) == 2
    assert statistics.events == [run]
