"""The one table from faults to status codes."""

from __future__ import annotations

import pytest

from gateway.core.errors import Fault
from gateway.wire.faults import STATUSES, fault_of_grpc, fault_of_http


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_has_a_status(fault):
    """No fault is left to chance in either protocol."""
    status = STATUSES[fault]

    assert 400 <= status.http <= 599
    assert 1 <= status.grpc <= 16


@pytest.mark.parametrize("fault", Fault)
def test_faults_survive_a_hop(fault):
    """What one gateway says another understands, but for those that share a code."""
    shared_by_http = {Fault.OVERLOADED: Fault.UNAVAILABLE, Fault.NOT_CACHED: Fault.DEADLINE}
    shared_by_grpc = {Fault.TOO_LARGE: Fault.INVALID, Fault.NOT_CACHED: Fault.INVALID}

    assert fault_of_http(STATUSES[fault].http) is shared_by_http.get(fault, fault)
    assert fault_of_grpc(STATUSES[fault].grpc) is shared_by_grpc.get(fault, fault)


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (402, Fault.INVALID),
        (408, Fault.DEADLINE),
        (418, Fault.INVALID),
        (422, Fault.INVALID),
        (429, Fault.OVERLOADED),
        (502, Fault.UNAVAILABLE),
        (505, Fault.INTERNAL),
        (302, Fault.INTERNAL),
        (204, Fault.INTERNAL),
    ],
)
def test_foreign_statuses(status, fault):
    """Statuses that we never send are understood: 4xx is the asker's fault, the rest the other side's."""
    assert fault_of_http(status) is fault


@pytest.mark.parametrize(
    ("code", "fault"),
    [(2, Fault.INTERNAL), (6, Fault.INTERNAL), (9, Fault.INVALID), (11, Fault.INVALID), (15, Fault.INTERNAL)],
)
def test_foreign_codes(code, fault):
    """gRPC codes that we never send are understood."""
    assert fault_of_grpc(code) is fault
