"""Quotas of the cache that do not add up."""

from __future__ import annotations

import pytest

from routing.caching import RouteCache
from routing.lint_caching_quota import CACHE_QUOTA_CHECKS
from routing.policy import Policy, Region, ResidencyClass, Route, Tenant


def found(*quotas: float | None, is_cached: bool = True) -> list[str]:
    policy = Policy(
        generation=1,
        regions={"here": Region()},
        residency={"anywhere": ResidencyClass(regions=("*",))},
        tenants={
            f"t{place}": Tenant(residency="anywhere", cache_quota=quota) for place, quota in enumerate(quotas)
        },
        routes=(Route(name="all", digest="sha256:" + "a" * 64, cache=RouteCache(enabled=is_cached)),),
    )
    return [f"{each.rule} {each.path[1]}" for check in CACHE_QUOTA_CHECKS for each in check(policy)]


@pytest.mark.parametrize(
    ("quotas", "rules"),
    [
        ((None, None), []),
        ((99.9, None), []),
        ((50, 50), []),
        ((0.1,) * 1000, []),
        ((50, 51), ["EW180 t1"]),
        ((60, 40, 0.1, None), ["EW180 t0"]),
        ((50, 50, None), ["EW280 t0"]),
    ],
)
def test_the_sum_is_what_there_is(quotas: tuple[float | None, ...], rules: list[str]) -> None:
    """More than 100 % cannot be; all of it, while others have none, is worth a word."""
    assert found(*quotas) == rules


def test_a_quota_where_nothing_is_kept_has_no_effect() -> None:
    """The first is named."""
    assert found(None, 10, 10, is_cached=False) == ["EW281 t1"]
    assert found(None, is_cached=False) == []
