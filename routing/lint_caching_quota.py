"""The lint rules about the quotas of tenants in the cache; ``routing.lint`` lists them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from routing.policy import Policy
from routing.problem import Problem
from routing.quotas import cache_quotas

_ALL: Final = 100.0


def _sum(policy: Policy) -> Iterator[Problem]:
    """More than all of it, or all of it while others have none."""
    quotas = cache_quotas(policy)
    total = math.fsum(quotas.values())
    if not quotas or total < _ALL - 1e-9:
        return
    largest = max(quotas, key=quotas.__getitem__)
    path = ("tenants", largest, "cache_quota")
    if total > _ALL + 1e-9:
        yield Problem(
            "EW180",
            path,
            f"the quotas of {len(quotas)} tenants are {total:g} % together, and there are 100; the largest "
            f"is {quotas[largest]:g} %: reserve less",
        )
    elif others := [name for name in policy.tenants if name not in quotas]:
        yield Problem(
            "EW280",
            path,
            f"all is reserved: tenant '{others[0]}' and whoever else has no quota keeps answers only where a "
            "quota is not used",
        )


def _uncached(policy: Policy) -> Iterator[Problem]:
    """A quota where no route keeps an answer."""
    quotas = cache_quotas(policy)
    if quotas and not any(route.cache.enabled and route.digests for route in policy.routes):
        yield Problem(
            "EW281",
            ("tenants", next(iter(quotas)), "cache_quota"),
            "reserves nothing: no route keeps answers (each has `cache: {enabled: false}`, or no digest)",
        )


CACHE_QUOTA_CHECKS: Final = (_sum, _uncached)
