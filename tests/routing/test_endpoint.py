"""What a policy says of an endpoint."""

from __future__ import annotations

import msgspec
import pytest

from routing.endpoint import Endpoint, MemberAddress

BASE = {"tier": "central", "region": "eu", "protocol": "grpc"}


def test_members_in_both_forms():
    old = msgspec.convert({**BASE, "address": "a:1"}, Endpoint)
    new = msgspec.convert(
        {**BASE, "addresses": ["a:1", {"address": "b:2", "weight": 3, "zone": "z"}]}, Endpoint
    )
    assert old.members == (MemberAddress(address="a:1"),)
    assert new.members == (MemberAddress(address="a:1"), MemberAddress(address="b:2", weight=3, zone="z"))
    assert not msgspec.convert(BASE, Endpoint).members


@pytest.mark.parametrize(
    "wrong",
    [
        {"load_balancing": {"policy": "fastest"}},
        {"load_balancing": {"hash_on": "header:"}},
        {"load_balancing": {"hash_on": "header:x\n"}},
        {"addresses": [{"address": "a:1", "weight": 0}]},
        {"addresses": [{"address": "a:1", "wieght": 1}]},
        {"path_prefix": "v2"},
        {"path_prefix": "/a b"},
        {"credential": {"env": "1A"}},
        {"health_check": {"interval_s": 0}},
        {"outlier_detection": {"interval_s": 0.000001}},
        {"capacity_rps": float("nan")},
        {"load_balancing": {"min_weight_percent": float("nan")}},
    ],
)
def test_wrong_shapes(wrong: dict[str, object]):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**BASE, **wrong}, Endpoint)
