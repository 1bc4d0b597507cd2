"""Requests that a listener refuses by itself: none of the filters sees them, so they are counted here."""

from __future__ import annotations

from gateway.core.errors import GatewayError
from gateway.core.telemetry import Refused, Telemetry


class RefusalCounter:
    """Counts the refusals of one protocol.

    As a context manager it counts the ``GatewayError`` that is raised within, and lets it pass.
    """

    def __init__(self, telemetry: Telemetry, protocol: str) -> None:
        self._telemetry, self._protocol = telemetry, protocol

    def __repr__(self) -> str:
        return f"<RefusalCounter of {self._protocol}>"

    def count(self, reason: str) -> None:
        """Count one refusal; ``reason`` is a fault's name, or an HTTP status without a fault."""
        self._telemetry.emit(Refused(self._protocol, reason))

    def __enter__(self) -> None:
        """Count what is raised from here on."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        """Count the error, if it is a refusal."""
        if isinstance(error, GatewayError):
            self.count(error.fault)
