"""Whose request it is: a claim in, a checked tenant out, and what residency allows it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import Final

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import ANONYMOUS, Caller
from routing.policy import Policy
from routing.residency import Locate
from routing.rules.residency import Allowed, allowed

_REMEMBERED: Final = 8192


def identify(policy: Policy, locate: Locate, serial: int | None = None) -> Callable[[Caller], Caller]:
    """Return the check of one policy. What it returns carries a tenant of the policy and no credential.

    It carries the residency class and the regions of that tenant at the caller's place as well: both are
    known before a byte of a body is. Whom the generation ``serial`` (without one: this policy) has identified
    already is returned as it is. Places are looked up once for each generation.

    A credential decides before anything else. Without one, a trusted peer (``caller.vouched``) may name the
    tenant; what any other peer names is ignored. A caller without a tenant is anonymous, which the policy has
    to list.

    The check raises GatewayError: UNAUTHENTICATED for an unknown key, or for none where one is
    needed; FORBIDDEN for a tenant that is unknown or not the key's.
    """
    tenants = {digest: name for name, tenant in policy.tenants.items() for digest in tenant.keys_sha256}
    welcomes_anonymous = ANONYMOUS in policy.tenants
    generation = policy.generation if serial is None else serial

    @lru_cache(_REMEMBERED)
    def decide(tenant: str, address: str) -> Allowed:
        return allowed(policy, tenant, locate(address))

    def check(caller: Caller) -> Caller:
        if caller.generation == generation:
            return caller
        named = caller.vouched and caller.tenant not in {"", ANONYMOUS}
        if caller.credential:
            tenant = tenants.get(_digest(caller.credential))
            if tenant is None:
                raise GatewayError(
                    Fault.UNAUTHENTICATED, "this key is not known; send a valid one as 'Bearer KEY'"
                )
            if named and caller.tenant != tenant:
                raise GatewayError(Fault.FORBIDDEN, "the key does not belong to the tenant that is named")
        elif named:
            tenant = caller.tenant
            if tenant not in policy.tenants:
                raise GatewayError(Fault.FORBIDDEN, "the tenant that is named is not known")
        elif not welcomes_anonymous:
            raise GatewayError(Fault.UNAUTHENTICATED, "a key is needed; send it as 'Bearer KEY'")
        else:
            tenant = ANONYMOUS
        decision = decide(tenant, caller.address)
        return Caller(
            caller.address, tenant, "", caller.vouched, decision.residency, decision.regions, generation
        )

    return check


def _digest(credential: str) -> str:
    scheme, _, key = credential.strip().partition(" ")
    bare = key.strip() if scheme.lower() == "bearer" else credential.strip()
    # The hash of nothing is what a script writes into a policy when its variable is not set: it is no key.
    return sha256(bare.encode("utf-8", "surrogateescape")).hexdigest() if bare else ""
