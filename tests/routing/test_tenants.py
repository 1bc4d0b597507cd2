"""Who a caller is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import ANONYMOUS, Caller
from routing.tenants import identify
from tests.routing.policies import policy

KEY = "abcdefg"
CLOSED = policy(tenants={"acme": policy().tenants["acme"].__class__(residency="eu-only")})


def refusal(check: object, caller: Caller) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        check(caller)  # type: ignore[operator]
    return caught.value


def test_anonymous_caller_passes_untouched() -> None:
    """Who names nobody and shows nothing is anonymous, and the very same value goes on."""
    caller = Caller("1.2.3.4")

    assert identify(policy())(caller) is caller


@pytest.mark.parametrize(
    "credential", [KEY, f"Bearer {KEY}", f"bearer {KEY}", f"BEARER   {KEY} ", f" {KEY} "]
)
@pytest.mark.parametrize("claim", [ANONYMOUS, "", "initech"])
def test_key_names_its_tenant(credential: str, claim: str) -> None:
    """A key, bare or as Bearer, decides; a claim that nobody vouches for is ignored; the key goes no further."""
    caller = Caller("1.2.3.4", claim, credential)

    assert identify(policy())(caller) == Caller("1.2.3.4", "acme", "")


@pytest.mark.parametrize("credential", ["wrong", "Bearer wrong", "Bearer", "Basic " + KEY, " ", "\udcff"])
@pytest.mark.parametrize("vouched", [False, True])
def test_unknown_key_is_refused(credential: str, vouched: bool) -> None:
    """A key that is not in the table gets nobody in, whoever vouches, and is not repeated."""
    error = refusal(identify(policy()), Caller("1.2.3.4", "acme", credential, vouched))

    assert error.fault is Fault.UNAUTHENTICATED
    assert "wrong" not in error.message
    assert not error.counts
    assert not error.retryable


def test_trusted_peer_names_the_tenant() -> None:
    """Another gateway's word is enough, because it has checked the key."""
    caller = identify(policy())(Caller("1.2.3.4", "acme", vouched=True))

    assert caller == Caller("1.2.3.4", "acme", "", vouched=True)


def test_trusted_peer_that_names_nobody_brings_anonymous() -> None:
    """A vouched anonymous is anonymous."""
    assert identify(policy())(Caller("1.2.3.4", "", vouched=True)).tenant == ANONYMOUS


def test_unknown_tenant_is_forbidden() -> None:
    """A trusted peer cannot invent a tenant."""
    error = refusal(identify(policy()), Caller("1.2.3.4", "initech", vouched=True))

    assert error.fault is Fault.FORBIDDEN


def test_key_of_another_tenant_is_forbidden() -> None:
    """A trusted peer that names one tenant and passes another's key is wrong."""
    tenants = {"acme": policy().tenants["acme"], "initech": policy().tenants["anonymous"]}
    error = refusal(identify(policy(tenants=tenants)), Caller("", "initech", KEY, vouched=True))

    assert error.fault is Fault.FORBIDDEN


def test_claim_without_a_trusted_peer_is_ignored() -> None:
    """Anybody can write a header."""
    assert identify(policy())(Caller("1.2.3.4", "acme")) == Caller("1.2.3.4")


@pytest.mark.parametrize("claim", [ANONYMOUS, "acme", ""])
def test_anonymous_must_be_listed(claim: str) -> None:
    """A policy without anonymous asks everybody for a key."""
    error = refusal(identify(CLOSED), Caller("1.2.3.4", claim))

    assert error.fault is Fault.UNAUTHENTICATED
    assert "Bearer" in error.message


@given(st.text(), st.text(), st.booleans())
def test_only_listed_tenants_come_out(tenant: str, credential: str, vouched: bool) -> None:
    """Whatever is claimed, what comes out is a tenant of the policy without a credential, or an error."""
    made = policy()

    try:
        caller = identify(made)(Caller("1.2.3.4", tenant, credential, vouched))
    except GatewayError as error:
        assert error.fault in {Fault.UNAUTHENTICATED, Fault.FORBIDDEN}
    else:
        assert caller.tenant in made.tenants
        assert caller.credential == ""
        assert vouched or caller.tenant == ANONYMOUS
