"""Log and trace settings while the process runs."""

from __future__ import annotations

import logging

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.listeners.switches import LogSwitches, TraceSwitches


@pytest.fixture
def switches():
    logger = logging.getLogger("switched")
    logger.setLevel(logging.INFO)
    yield LogSwitches(["switched"])
    logger.setLevel(logging.NOTSET)


async def test_log_levels(switches):
    """A switch sets the threshold of the loggers; verbose is everything."""
    assert switches.read()["log_info"] is True
    for wanted, level in (
        ({"log_info": False}, logging.WARNING),
        ({"log_warning": False}, logging.ERROR),
        ({"log_error": False}, logging.CRITICAL + 10),
        ({"log_verbose_level": 2}, logging.DEBUG),
    ):
        await switches.change(wanted)
        assert logging.getLogger("switched").level == level
    assert repr(switches) == "<LogSwitches DEBUG>"


@pytest.mark.parametrize(
    ("wanted", "fault"),
    [
        ({"log_color": True}, Fault.INVALID),
        ({"log_info": 1}, Fault.INVALID),
        ({"log_verbose_level": -1}, Fault.INVALID),
        ({"log_info": False, "log_file": "/x"}, Fault.UNSUPPORTED),
    ],
)
async def test_bad_log_settings_change_nothing(switches, wanted, fault):
    """All or none."""
    with pytest.raises(GatewayError) as refused:
        await switches.change(wanted)

    assert refused.value.fault is fault
    assert logging.getLogger("switched").level == logging.INFO


async def test_tracing():
    """On, off, one request in so many; None is as it was at the start. A refusal changes nothing."""
    traced: list[int] = []
    switches = TraceSwitches(traced.append)

    assert switches.read()["trace_level"] == ["TIMESTAMPS"]
    assert (await switches.change({"trace_rate": ["5"]}))["trace_rate"] == ["5"]
    await switches.change({"trace_level": ["OFF"], "trace_mode": ["opentelemetry"]})
    await switches.change({"trace_level": None})
    assert repr(switches) == "<TraceSwitches TIMESTAMPS, one of 5>"
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


async def test_tracing_without_a_collector():
    """There is nothing to turn on; what is in force may be confirmed."""
    switches = TraceSwitches()

    assert (await switches.change({"trace_level": ["OFF"]}))["trace_level"] == ["OFF"]
    for wanted in ({"trace_level": ["TIMESTAMPS"]}, {"trace_rate": ["7"]}):
        with pytest.raises(GatewayError, match="without a collector") as refused:
            await switches.change(wanted)
        assert refused.value.fault is Fault.UNSUPPORTED
