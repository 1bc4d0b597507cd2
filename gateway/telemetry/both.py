"""Telemetry for two listeners."""

from __future__ import annotations

from gateway.core.telemetry import Event, Telemetry


class Both:
    """Hands each event on to both."""

    def __init__(self, first: Telemetry, second: Telemetry) -> None:
        self._first, self._second = first.emit, second.emit

    def emit(self, event: Event) -> None:
        """Tell the first, then the second."""
        self._first(event)
        self._second(event)


_: type[Telemetry] = Both
