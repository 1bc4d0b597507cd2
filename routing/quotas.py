"""The shares of a gateway's memory for answers that a policy reserves. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from routing.policy import Policy


def cache_quotas(policy: Policy) -> Mapping[str, float]:
    """Return the percent of each tenant that has a quota."""
    return {
        name: tenant.cache_quota for name, tenant in policy.tenants.items() if tenant.cache_quota is not None
    }
