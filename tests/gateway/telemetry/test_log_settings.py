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
    ("wanted", "message"),
    [
        ({"log_color": True}, "unknown log setting 'log_color'"),
        ({"log_info": 1}, "expect boolean for 'log_info'"),
        ({"log_info": None}, "expect boolean for 'log_info'"),
        ({"log_verbose_level": -1}, "expect unsigned integer for 'log_verbose_level'"),
        ({"log_verbose_level": True}, "expect unsigned integer for 'log_verbose_level'"),
        ({"log_format": 2}, "expect string for 'log_format'"),
        (
            {"log_info": False, "log_file": "/x"},
            "log file location can not be updated through network protocol",
        ),
        ({"log_format": "ISO8601"}, "log setting 'log_format' is fixed when the process starts"),
    ],
)
async def test_bad_log_settings_change_nothing(settings, wanted, message):
    """All or none; in the words that clients look for."""
    with pytest.raises(GatewayError) as refused:
        await settings.change(wanted)

    assert refused.value.message == message
    is_fixed = "fixed" in message or "location" in message
    assert refused.value.fault is (Fault.UNSUPPORTED if is_fixed else Fault.INVALID)
    assert logging.getLogger("logged").level == logging.INFO
