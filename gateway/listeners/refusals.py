"""Requests that a listener refuses by itself: none of the filters sees them, so they are counted here."""

from __future__ import annotations

import logging

from gateway.core.errors import GatewayError, printable
from gateway.core.telemetry import Refused, Telemetry
from gateway.http.exchange import Head
from gateway.wire.trace_context import trace_id


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


def log_failure(
    log: logging.Logger, error: Exception, head: Head, request_id: str, *expected: type[Exception]
) -> None:
    """Note with its ids that a request failed: as an error what nobody expected, else for who debugs."""
    is_expected = isinstance(error, (GatewayError, *expected))
    if is_expected and not log.isEnabledFor(logging.DEBUG):
        return
    named = f"request {request_id or 'without an id'}"
    if trace := trace_id(head.headers):
        named += f" of trace {trace}"
    if is_expected:
        log.debug("%s was refused: %s", named, printable(str(error)))
    else:
        log.error("%s failed unexpectedly", named, exc_info=error)
