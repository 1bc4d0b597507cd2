"""Within whom requests may share a batch: a tenant, or a residency class."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Final, Literal

from gateway.core.request import Caller

BatchScope = Literal["tenant", "residency"]
ScopeOf = Callable[[Caller], Hashable]


def per_tenant(caller: Caller) -> Hashable:
    """Return the scope of ``caller`` where tenants share nothing.

    A central tier checks nobody: there the tenant is whom an edge names, believed or not. What that gives
    is only that tenants are told apart.
    """
    return caller.claimed or caller.tenant, caller.residency


def per_residency(caller: Caller) -> Hashable:
    """Return the scope of ``caller`` where a residency class shares."""
    return caller.residency


SCOPES: Final[Mapping[BatchScope, ScopeOf]] = {"tenant": per_tenant, "residency": per_residency}
