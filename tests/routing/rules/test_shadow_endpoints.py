"""Which endpoints may see the copy of a request."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from routing.policy import Policy
from routing.rules.shadow_endpoints import shadow_endpoints
from tests.routing.policies import policy, route, values

EVERYWHERE = frozenset({"eu-west", "us-east", "ap-south"})


def found(shadow: dict[str, Any], regions: frozenset[str] = EVERYWHERE, **changes: Any) -> tuple[str, ...]:
    endpoints = ["central", "central-eu", "eu-west-gw"]
    each: Policy = policy(routes=[route(endpoints=endpoints, shadow=shadow)], **changes)
    (only,) = each.routes
    assert only.shadow is not None
    return shadow_endpoints(each, only, only.shadow, "eu-west", regions)


@pytest.mark.parametrize(
    ("shadow", "regions", "names"),
    [
        ({"version": "2"}, EVERYWHERE, ("central-eu", "central")),
        ({"version": "2"}, frozenset({"eu-west"}), ("central-eu",)),
        ({"endpoints": ["central"]}, EVERYWHERE, ("central",)),
        ({"endpoints": ["central"]}, frozenset({"eu-west"}), ()),
        ({"endpoints": ["central", "central-eu"]}, frozenset({"us-east"}), ()),
        ({"endpoints": ["central"]}, frozenset(), ()),
        ({"endpoints": ["eu-west-gw", "ap-south-gw"]}, EVERYWHERE, ()),
        ({"endpoints": ["nobody"]}, EVERYWHERE, ()),
    ],
    ids=["the route's", "one allowed", "own", "none allowed", "not here", "nowhere", "gateways", "unknown"],
)
def test_only_central_ones_in_regions_that_may_see_it(
    shadow: dict[str, Any], regions: frozenset[str], names: tuple[str, ...]
) -> None:
    """And none at all where this gateway may only pass the request on."""
    assert found(shadow, regions) == names


def test_regions_without_a_weight_get_no_copies_either() -> None:
    """A region that gets nothing of the load gets nothing of the shadow."""
    distribute = {"mode": "distribute", "distribute": [{"from": "eu-west", "to": {"us-east": 100}}]}

    assert found({"version": "2"}, locality=distribute) == ("central",)


def test_a_policy_of_today_has_no_shadow() -> None:
    """What does not name one keeps its meaning."""
    assert all(each.shadow is None for each in msgspec.convert(values(), Policy).routes)
