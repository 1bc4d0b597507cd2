"""In which order endpoints are tried."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.policy import Policy
from routing.rules.order import first, plan, reachable, rivals
from tests.routing.policies import Health, endpoint, policy, route

REGIONS = ["eu", "us", "ap"]
ENDPOINTS: dict[str, Any] = {
    f"{region}-{tier}": endpoint(region, tier=tier) for region in REGIONS for tier in ("central", "edge")
} | {"eu-spare": endpoint("eu")}


def world(
    names: list[str] | None = None, failover: dict[str, list[str]] | None = None, **changes: Any
) -> Policy:
    return policy(
        **{
            "regions": {name: {} for name in REGIONS},
            "endpoints": ENDPOINTS,
            "failover": failover or {},
            "routes": [route(endpoints=list(ENDPOINTS) if names is None else names)],
            **changes,
        }
    )


def names_of(made: Policy, own: str, *regions: str, edges: bool = True) -> list[str]:
    return list(reachable(made, made.routes[0], own, frozenset(regions), edges=edges))


def test_own_region_first_then_failover_then_the_rest() -> None:
    """Nearest first; equally far endpoints keep the order of the route."""
    made = world(failover={"us": ["ap"]})

    assert names_of(made, "us", *REGIONS) == [
        "us-central",
        "ap-central",
        "ap-edge",
        "eu-central",
        "eu-edge",
        "eu-spare",
    ]


def test_route_orders_what_is_equally_far() -> None:
    """Within one region the route's order is the preference."""
    made = world(["eu-spare", "eu-central"])

    assert names_of(made, "eu", "eu") == ["eu-spare", "eu-central"]


def test_no_gateway_after_the_second() -> None:
    """A request that came from another gateway goes to central tiers only."""
    assert names_of(world(), "eu", *REGIONS, edges=False) == [
        "eu-central",
        "eu-spare",
        "us-central",
        "ap-central",
    ]


def test_unknown_endpoint_and_region_are_nowhere() -> None:
    """What the policy does not list is not reachable."""
    made = world(["mars", "ghost"], endpoints={"mars": endpoint("mars")})

    assert names_of(made, "eu", *REGIONS) == []


def test_endpoint_named_twice_is_tried_once() -> None:
    """A name that stands twice has its first place."""
    assert names_of(world(["us-central", "eu-central", "us-central"]), "us", *REGIONS) == [
        "us-central",
        "eu-central",
    ]


def test_failover_to_itself_changes_nothing() -> None:
    """The own region is the nearest whatever the list says."""
    made = world(["us-central", "eu-central"], {"eu": ["us", "eu"]})

    assert names_of(made, "eu", *REGIONS) == ["eu-central", "us-central"]


@pytest.mark.parametrize(
    ("out", "planned"),
    [
        ((), ("a", "b", "c")),
        (("a",), ("b", "c")),
        (("a", "c"), ("b",)),
        (("a", "b", "c"), ()),
    ],
)
def test_those_that_are_out_are_left_out(out: tuple[str, ...], planned: tuple[str, ...]) -> None:
    """Health removes, and when none is left there is nothing to try."""
    assert plan(("a", "b", "c"), Health(*out), "m") == planned


@pytest.mark.parametrize(
    ("out", "failing", "planned"),
    [
        ((), ("a",), ("b", "c")),
        (("b",), ("a",), ("c",)),
        (("b", "c"), ("a",), ("a",)),
        ((), ("a", "b", "c"), ("a", "b", "c")),
        (("a", "b", "c"), ("a",), ()),
    ],
)
def test_where_the_model_fails_is_planned_when_no_other_is_left(
    out: tuple[str, ...], failing: tuple[str, ...], planned: tuple[str, ...]
) -> None:
    """Envoy's panic rule, for endpoints that answer; who is out would refuse."""
    view = Health(*out, failing=failing)
    assert plan(("a", "b", "c"), view, "m") == planned
    assert first(("a", "b", "c"), view, "m") == (planned[0] if planned else None)


def test_rivals_are_who_could_take_the_request() -> None:
    """One set of others for each residency, and for requests that came from another gateway."""
    made = world(
        ["eu-central", "us-central", "us-edge"],
        {},
        residency={"anywhere": {"regions": ["*"]}, "eu": {"regions": ["eu"]}},
    )

    found = {name: {*map(tuple, map(sorted, sets))} for name, sets in rivals(made, "eu").items()}

    assert found == {
        "eu-central": {("us-central", "us-edge"), ("us-central",), ()},
        "us-central": {("eu-central", "us-edge"), ("eu-central",)},
        "us-edge": {("eu-central", "us-central")},
    }


def test_rivals_within_what_two_classes_have_in_common() -> None:
    """A place narrows what a tenant's class allows."""
    made = world(
        ["eu-central", "us-central", "ap-central"],
        {},
        residency={"west": {"regions": ["eu", "us"]}, "east": {"regions": ["us", "ap"]}},
    )

    assert frozenset() in rivals(made, "eu")["us-central"]
    assert frozenset() not in rivals(made, "eu")["eu-central"]


def test_nothing_reachable_is_nothing_planned() -> None:
    """Health does not invent endpoints."""
    assert plan((), Health(), "m") == ()


def test_all_small_cases() -> None:
    """For every allowed set, own region, health and fail-over order: inside the set, nothing twice, no loop."""
    names = list(ENDPOINTS)
    sets = [
        frozenset(r for r, bit in zip(REGIONS, bits, strict=True) if bit)
        for bits in product((0, 1), repeat=3)
    ]
    healths = [
        Health(*(n for n, bit in zip(names, bits, strict=True) if bit)) for bits in product((0, 1), repeat=7)
    ]
    for own, edges, order in product(REGIONS, (True, False), permutations(REGIONS, 2)):
        made = world(failover={own: list(order)})
        for regions in sets:
            reached = reachable(made, made.routes[0], own, regions, edges=edges)
            expected = {
                n
                for n in names
                if made.endpoints[n].region in regions
                and (made.endpoints[n].tier == "central" or (edges and made.endpoints[n].region != own))
            }
            assert set(reached) == expected
            assert len(reached) == len(expected)
            for view in healths:
                planned = plan(reached, view, "m")
                assert set(planned) == expected - view.out
                assert list(planned) == [name for name in reached if name in planned]


@given(
    st.sets(st.sampled_from([*REGIONS, "mars"])),
    st.sampled_from([*REGIONS, "mars"]),
    st.sets(st.sampled_from(list(ENDPOINTS))),
    st.dictionaries(st.sampled_from(REGIONS), st.lists(st.sampled_from([*REGIONS, "mars"]))),
    st.lists(st.sampled_from([*ENDPOINTS, "ghost"])),
)
def test_no_plan_leaves_the_allowed_set(
    regions: set[str], own: str, out: set[str], failover: dict[str, list[str]], names: list[str]
) -> None:
    """Whatever fails, wherever fail-over points: every endpoint of a plan lies in an allowed region."""
    made = world(names, failover)

    planned = plan(reachable(made, made.routes[0], own, frozenset(regions), edges=True), Health(*out), "m")

    assert {made.endpoints[name].region for name in planned} <= regions


@given(st.permutations(list(ENDPOINTS)), st.permutations(REGIONS), st.permutations(REGIONS))
def test_order_of_the_file_decides_only_among_the_equally_far(
    endpoints: list[str], regions: list[str], order: list[str]
) -> None:
    """Permuting regions and endpoints of the policy, or distant names of the route, changes nothing."""
    made = world(
        endpoints,
        {"eu": ["us", "ap"]},
        regions={name: {} for name in regions},
        endpoints={name: ENDPOINTS[name] for name in sorted(ENDPOINTS, key=lambda n: order.index(n[:2]))},
    )

    planned = names_of(made, "eu", *REGIONS)

    assert [made.endpoints[name].region for name in planned] == ["eu", "eu", "us", "us", "ap", "ap"]
    for region in REGIONS:
        mine = [name for name in planned if made.endpoints[name].region == region]
        assert mine == [name for name in endpoints if name in mine]


def test_distributed_requests_reach_no_other_region() -> None:
    """Whatever happens to those that have a weight: and so it is for fail-over, sequences and the last one left."""
    distribute = [{"from": "eu", "to": {"us": 60, "ap": 40}}]
    made = world(locality={"mode": "distribute", "distribute": distribute}, failover={"eu": ["ap"]})

    assert names_of(made, "eu", *REGIONS) == ["ap-central", "ap-edge", "us-central", "us-edge"]
    assert names_of(made, "eu", "eu") == []
    assert names_of(made, "us", *REGIONS)[0] == "us-central"
    assert "eu-central" not in rivals(made, "eu")
