"""Locality in a policy: a mode alone, or in full."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from routing.locality import Locality
from routing.policy import Policy
from tests.routing.policies import policy


@pytest.mark.parametrize("mode", ["failover", "nearest", "distribute", "failover_priority"])
def test_a_mode_alone(mode: str):
    assert policy(locality=mode).preference == policy(locality={"mode": mode}).preference
    assert policy(locality=mode).preference.mode == mode


def test_nothing_is_failover():
    assert policy().preference == Locality()


@pytest.mark.parametrize(
    "wrong",
    [
        "fastest",
        {"mode": "fastest"},
        {"modus": "nearest"},
        {"distribute": [{"from": "eu-west", "to": {"us-east": 0}}]},
        {"distribute": [{"from": "eu-west", "to": {"us-east": 101}}]},
        {"distribute": [{"from": "eu-west", "to": {}}]},
        {"distribute": [{"source": "eu-west", "to": {"us-east": 100}}]},
        {"hysteresis_percent": float("nan")},
        {"overprovisioning_factor": 99},
    ],
)
def test_wrong_shapes(wrong: Any):
    with pytest.raises(msgspec.ValidationError):
        policy(locality=wrong)


@pytest.mark.parametrize(("latitude", "longitude"), [(91, 0), (0, 181), (float("nan"), 0)])
def test_no_place_on_the_globe(latitude: float, longitude: float):
    location = {"latitude": latitude, "longitude": longitude}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**msgspec.to_builtins(policy()), "regions": {"a": {"location": location}}}, Policy)
