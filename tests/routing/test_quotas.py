"""What a policy reserves."""

from __future__ import annotations

from routing.policy import Policy, Region, ResidencyClass, Route, Tenant
from routing.quotas import cache_quotas


def test_only_tenants_with_a_quota_have_one() -> None:
    """By name; whoever has none shares the rest."""
    policy = Policy(
        generation=1,
        regions={"here": Region()},
        residency={"anywhere": ResidencyClass(regions=("*",))},
        tenants={"acme": Tenant(residency="anywhere", cache_quota=20), "other": Tenant(residency="anywhere")},
        routes=(Route(name="all"),),
    )

    assert cache_quotas(policy) == {"acme": 20}
