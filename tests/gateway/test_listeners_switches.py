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


def test_tracing():
    """What is fixed may be confirmed and not changed."""
    switches = TraceSwitches(is_on=True)

    assert switches.change({"trace_level": ["TIMESTAMPS"], "trace_rate": None})["trace_rate"] == ["1"]
    for wanted, fault in (({"trace_rate": ["5"]}, Fault.UNSUPPORTED), ({"x": []}, Fault.INVALID)):
        with pytest.raises(GatewayError) as refused:
            switches.change(wanted)
        assert refused.value.fault is fault
    assert repr(switches) == "<TraceSwitches TIMESTAMPS>"
