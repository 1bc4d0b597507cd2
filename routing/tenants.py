"""Whose request it is: a claim in, a checked tenant out."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import ANONYMOUS, Caller
from routing.policy import Policy


def identify(policy: Policy) -> Callable[[Caller], Caller]:
    """Return the check of one policy. What it returns carries a tenant of the policy and no credential.

    A credential decides before anything else. Without one, a trusted peer (``caller.vouched``) may name the
    tenant; what any other peer names is ignored. A caller without a tenant is anonymous, which the policy has
    to list.

    The check raises GatewayError: UNAUTHENTICATED for an unknown key, or for none where one is
    needed; FORBIDDEN for a tenant that is unknown or not the key's.
    """
    tenants = {digest: name for name, tenant in policy.tenants.items() for digest in tenant.keys_sha256}
    welcomes_anonymous = ANONYMOUS in policy.tenants

    def check(caller: Caller) -> Caller:
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
        elif caller.tenant == ANONYMOUS:
            return caller
        else:
            tenant = ANONYMOUS
        return Caller(caller.address, tenant, "", caller.vouched, caller.residency)

    return check


def _digest(credential: str) -> str:
    scheme, _, key = credential.strip().partition(" ")
    bare = key.strip() if scheme.lower() == "bearer" else credential.strip()
    return sha256(bare.encode("utf-8", "surrogateescape")).hexdigest()
