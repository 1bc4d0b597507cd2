"""Trace settings while the process runs."""

from __future__ import annotations

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.telemetry.trace_settings import TraceSettings


async def test_tracing():
    """On, off, one request in so many; None is as it was at the start. A refusal changes nothing."""
    traced: list[int] = []
    switches = TraceSettings(traced.append)

    assert switches.read()["trace_level"] == ["TIMESTAMPS"]
    assert (await switches.change({"trace_rate": ["5"]}))["trace_rate"] == ["5"]
    await switches.change({"trace_level": ["OFF"], "trace_mode": ["opentelemetry"]})
    await switches.change({"trace_level": None})
    assert repr(switches) == "<TraceSettings TIMESTAMPS, one of 5>"
    await switches.change({"trace_rate": None})
    for wanted, fault in (
        ({"trace_level": ["OFF"], "trace_rate": ["0"]}, Fault.INVALID),
        ({"trace_rate": ["1", "2"]}, Fault.INVALID),
        ({"x": []}, Fault.INVALID),
        ({"trace_level": ["TENSORS"]}, Fault.UNSUPPORTED),
        ({"trace_file": ["/tmp/x"]}, Fault.UNSUPPORTED),
    ):
        with pytest.raises(GatewayError) as refused:
            await switches.change(wanted)
        assert refused.value.fault is fault
    assert traced == [5, 0, 5, 1]
    with pytest.raises(GatewayError) as refused:
        await switches.change({"trace_file": ["/tmp/x"]})
    assert refused.value.message == "trace file location can not be updated through network protocol"


async def test_tracing_without_a_collector():
    """There is nothing to turn on; what is in force may be confirmed."""
    switches = TraceSettings()

    assert (await switches.change({"trace_level": ["OFF"]}))["trace_level"] == ["OFF"]
    for wanted in ({"trace_level": ["TIMESTAMPS"]}, {"trace_rate": ["7"]}):
        with pytest.raises(GatewayError, match="without a collector") as refused:
            await switches.change(wanted)
        assert refused.value.fault is Fault.UNSUPPORTED
