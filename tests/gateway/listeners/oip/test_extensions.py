"""What a process shows and changes that has nothing to show and to change."""

from __future__ import annotations

import msgspec
import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.statistics import Counted
from gateway.http.exchange import Head
from gateway.listeners.oip.extensions import (
    Extensions,
    NoLog,
    NoStatistics,
    NoTracing,
    ProtocolSettings,
)
from tests.fakes.operator import BEARER, OPEN, TOKEN, TOKENS, head


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


@pytest.mark.parametrize("value", [f"Bearer {TOKEN}", f"bearer  {TOKEN}"])
def test_what_the_operator_may_do(value):
    """Where the settings of the port allow it, and with the token."""
    found = head({"authorization": value, "sec-fetch-site": "none"})

    Extensions(**OPEN).check_admin("loading models", found)
    assert Extensions(**OPEN).is_operator(found)


PAGES = [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"referer": "http://evil.example/"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
]
REFUSALS = [
    ({}, BEARER, Fault.FORBIDDEN, "loading models is not allowed on this port"),
    ({"operator": TOKENS}, BEARER, Fault.FORBIDDEN, "loading models is not allowed on this port"),
    ({"settings": OPEN["settings"]}, BEARER, Fault.FORBIDDEN, "sets listen.admin_access.tokens_sha256"),
    ({"settings": OPEN["settings"]}, {}, Fault.FORBIDDEN, "sets listen.admin_access.tokens_sha256"),
    (OPEN, {}, Fault.UNAUTHENTICATED, "send it as 'Bearer TOKEN'"),
    (OPEN, {"authorization": "Bearer other"}, Fault.UNAUTHENTICATED, "send it as 'Bearer TOKEN'"),
    (OPEN, {"authorization": TOKEN}, Fault.UNAUTHENTICATED, "send it as 'Bearer TOKEN'"),
    *((OPEN, {**BEARER, **page}, Fault.FORBIDDEN, "nothing that a web page may do") for page in PAGES),
]


@pytest.mark.parametrize(("fields", "sent", "fault", "message"), REFUSALS)
def test_what_nobody_else_may_do(fields, sent, fault, message):
    """Each refusal says what is missing."""
    found = head(sent)

    with pytest.raises(GatewayError, match=message) as caught:
        Extensions(**fields).check_admin("loading models", found)
    assert caught.value.fault is fault
    assert not Extensions(**fields).is_operator(found)


def test_two_tokens_are_none():
    """A proxy that appends instead of replacing would let its clients choose."""
    found = Head("POST", "/", (*BEARER.items(), *BEARER.items()))

    assert not Extensions(**OPEN).is_operator(found)


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
