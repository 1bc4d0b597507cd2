"""What a process shows and changes that has nothing to show and to change."""

from __future__ import annotations

import msgspec
import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.statistics import Counted
from gateway.listeners.oip.extensions import (
    Extensions,
    NoLog,
    NoStatistics,
    NoTracing,
    ProtocolSettings,
)


async def test_a_process_that_counts_nothing():
    """Its statistics are empty."""
    assert (await NoStatistics().counted()).models() == Counted().models()


async def test_settings_that_are_fixed():
    """They are empty, and a change is refused."""
    for settings in (NoLog(), NoTracing()):
        assert settings.read() == {}
        with pytest.raises(GatewayError, match="fixed when it starts") as caught:
            await settings.change({})
        assert caught.value.fault is Fault.UNSUPPORTED


def test_what_only_an_operator_may_do():
    """Unless the settings of the port allow it to everybody."""
    Extensions(settings=ProtocolSettings(admin_calls=True)).check_admin("loading models")

    with pytest.raises(GatewayError, match=r"^loading models is not allowed on this port") as caught:
        Extensions().check_admin("loading models")
    assert caught.value.fault is Fault.FORBIDDEN


@pytest.mark.parametrize(
    "settings", [{"inflate_ratio": 0}, {"inflate_ratio": 1033}, {"compress_from_bytes": -1}, {"other": 1}]
)
def test_settings_that_are_refused(settings):
    """A ratio above 1032 is one that deflate cannot reach."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, ProtocolSettings)


def test_reprs():
    """Each shows what it stands for."""
    shown = [repr(each()) for each in (NoStatistics, NoLog, NoTracing)]

    assert shown == ["<NoStatistics>", "<NoLog>", "<NoTracing>"]
