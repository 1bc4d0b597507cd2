"""Refusals that no filter sees are counted by the listener."""

from __future__ import annotations

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.telemetry import Refused
from gateway.listeners.refusals import RefusalCounter
from tests.fakes.telemetry import RecordingTelemetry


def test_a_reason_is_counted():
    """Each refusal is one event of the protocol."""
    telemetry = RecordingTelemetry()
    counter = RefusalCounter(telemetry, "http")

    counter.count("404")

    assert telemetry.events == [Refused("http", "404")]
    assert repr(counter) == "<RefusalCounter of http>"


def test_errors_within_are_counted_and_pass():
    """Only a GatewayError is a refusal; a bug is none."""
    telemetry = RecordingTelemetry()
    counter = RefusalCounter(telemetry, "grpc")

    with counter:
        pass
    with pytest.raises(GatewayError), counter:
        raise GatewayError(Fault.TOO_LARGE, "too large")
    with pytest.raises(ZeroDivisionError), counter:
        raise ZeroDivisionError

    assert telemetry.events == [Refused("grpc", "too_large")]
