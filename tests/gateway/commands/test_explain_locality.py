"""What `edgeway policy explain` says of locality."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.commands.explain import explain
from gateway.commands.explain_locality import panic
from gateway.core.request import Request
from routing.policy import Policy

PLACES = {"here": (50, 8), "near": (48, 2), "far": (40, -74)}


def rows(locality: Any, region: str = "here", *, located: bool = True) -> tuple[str, list[str]]:
    regions = {
        name: ({"location": {"latitude": north, "longitude": east}} if located else {})
        for name, (north, east) in PLACES.items()
    }
    endpoints = {
        f"in-{name}": {"tier": "central", "region": name, "protocol": "http", "addresses": ["10.0.0.1:1"]}
        for name in ("far", "near", "here")
    }
    values = {
        "generation": 1,
        "regions": regions,
        "residency": {"all": {"regions": ["*"]}, "near": {"regions": ["here", "near"]}},
        "tenants": {"anonymous": {"residency": "all"}, "narrow": {"residency": "near"}},
        "endpoints": endpoints,
        "failover": {"here": ["far", "near"]},
        "routes": [{"name": "r", "endpoints": list(endpoints)}],
        "locality": locality,
    }
    policy = msgspec.convert(values, Policy)
    tenant = "narrow" if region == "narrow" else "anonymous"
    region = "here" if region == "narrow" else region
    found, _ = explain(policy, Request("m", ()), tenant=tenant, place=None, region=region)
    names = [text.partition(":")[0] for name, text in found if name.startswith("endpoint ")]
    return dict(found)["locality"], names


def test_failover_has_the_list() -> None:
    """The order of the policy, the own region first."""
    assert rows("failover") == ("failover: here, far, near, then the rest", ["in-here", "in-far", "in-near"])


def test_nearest_has_the_order_by_distance_until_it_is_measured() -> None:
    """Not that of the fail-over list, by which a gateway in this mode does not go."""
    why, names = rows("nearest")
    assert names == ["in-here", "in-near", "in-far"]
    assert why.startswith("nearest: by measured round trips; until there are some, by distance: in-here 0 ms")


def test_nearest_without_places_says_so() -> None:
    """Where nothing is known of a distance, none is made up."""
    assert "in-far unknown" in rows("nearest", located=False)[0]


@pytest.mark.parametrize(
    ("region", "why", "names"),
    [
        ("here", "distribute: far 70 %, near 20 %, here 10 %", ["in-far", "in-near", "in-here"]),
        ("narrow", "distribute: near 66.7 %, here 33.3 %", ["in-near", "in-here"]),
        (
            "near",
            "failover: near, then the rest; distribute says nothing of near",
            ["in-near", "in-far", "in-here"],
        ),
    ],
)
def test_distribute_has_the_shares_that_residency_leaves(region: str, why: str, names: list[str]) -> None:
    """Of the regions that this request may reach; a region without weights fails over."""
    to = {"here": 10, "near": 20, "far": 70}
    assert rows({"mode": "distribute", "distribute": [{"from": "here", "to": to}]}, region) == (why, names)


def test_failover_priority_has_the_labels_in_common() -> None:
    """How many of the labels are equal decides."""
    why, names = rows({"mode": "failover_priority", "failover_priority": ["region"]})
    assert why == ("failover_priority region: equal labels: in-here 1 of 1, in-far 0 of 1, in-near 0 of 1")
    assert names == ["in-here", "in-far", "in-near"]


@pytest.mark.parametrize(("threshold", "is_told"), [(50, True), (12.5, True), (0, False), (None, False)])
def test_panic_is_told_where_there_is_any(threshold: float | None, *, is_told: bool) -> None:
    """Requests for members that are out surprise whoever does not know of it."""
    policy = msgspec.convert(
        {
            "generation": 1,
            "regions": {"here": {}},
            "residency": {"all": {"regions": ["*"]}},
            "tenants": {"anonymous": {"residency": "all"}},
            "routes": [{"name": "r", "endpoints": []}],
            "locality": {"healthy_panic_threshold": threshold},
        },
        Policy,
    )
    told = panic(policy)
    assert bool(told) is is_told
    assert all(f"fewer than {threshold:g} % of an endpoint's members" in text for _, text in told)
