"""OpenGate."""

from __future__ import annotations

from gateway.core.gate import OpenGate


def test_open_gate_admits_whatever_was_reported() -> None:
    """Where nothing needs guarding every call goes ahead."""
    gate = OpenGate()
    for _ in range(3):
        admitted = gate.admit()
        admitted.failed()
        admitted.left()
        admitted.succeeded()

    assert gate.admit() is admitted
