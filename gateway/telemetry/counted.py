"""Telemetry of a process: counted for Prometheus, and where the protocol's statistics need it, for them."""

from __future__ import annotations

from gateway.core.telemetry import BatchRan, Event, Telemetry


class Counted:
    """Hands every event to ``series``, and runs of models to ``statistics`` too."""

    def __init__(self, series: Telemetry, statistics: Telemetry) -> None:
        self._series, self._statistics = series.emit, statistics.emit

    def emit(self, event: Event) -> None:
        """Hand the event on."""
        self._series(event)
        if type(event) is BatchRan:
            self._statistics(event)


_: type[Telemetry] = Counted
