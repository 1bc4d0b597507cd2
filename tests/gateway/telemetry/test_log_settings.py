"""Log settings while the process runs."""

from __future__ import annotations

import logging

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.telemetry.log_settings import LogSettings


@pytest.fixture
def settings():
    logger = logging.getLogger("logged")
    logger.setLevel(logging.INFO)
    yield LogSettings(["logged"])
    logger.setLevel(logging.NOTSET)


async def test_log_levels(settings):
    """A switch sets the threshold of the loggers; verbose is everything."""
    assert settings.read()["log_info"] is True
    for wanted, level in (
        ({"log_info": False}, logging.WARNING),
        ({"log_warning": False}, logging.ERROR),
        ({"log_error": False}, logging.CRITICAL + 10),
        ({"log_verbose_level": 2}, logging.DEBUG),
    ):
        await settings.change(wanted)
        assert logging.getLogger("logged").level == level
    assert repr(settings) == "<LogSettings DEBUG>"


@pytest.mark.parametrize(
    ("wanted", "fault"),
    [
        ({"log_color": True}, Fault.INVALID),
        ({"log_info": 1}, Fault.INVALID),
        ({"log_verbose_level": -1}, Fault.INVALID),
        ({"log_info": False, "log_file": "/x"}, Fault.UNSUPPORTED),
    ],
)
async def test_bad_log_settings_change_nothing(settings, wanted, fault):
    """All or none."""
    with pytest.raises(GatewayError) as refused:
        await settings.change(wanted)

    assert refused.value.fault is fault
    assert logging.getLogger("logged").level == logging.INFO
