"""Who a caller is."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import ANONYMOUS, Caller
from routing.place import Place
from routing.policy import Tenant
from routing.tenants import identify
from tests.routing.policies import policy

KEY = "abcdefg"
GERMAN, AMERICAN = "2.0.0.1", "3.0.0.1"
PLACES = {GERMAN: Place("DE", "EU"), AMERICAN: Place("US", "NA")}
EVERYWHERE = frozenset({"eu-west", "us-east", "ap-south"})
CLOSED = {"acme": Tenant(residency="eu-only")}


def check(**changes: Any) -> Callable[[Caller], Caller]:
    """The check of generation 3, for which German and American addresses have a place."""
    return identify(policy(**changes), PLACES.get)


def known(tenant: str = ANONYMOUS, *, vouched: bool = False) -> Caller:
    """What it returns for a caller whose place is in the United States."""
    residency, regions = ("eu-only", {"eu-west"}) if tenant == "acme" else ("anywhere", EVERYWHERE)
    return Caller(AMERICAN, tenant, "", vouched, residency, frozenset(regions), 3)


def refusal(check: object, caller: Caller) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        check(caller)  # type: ignore[operator]
    return caught.value


def test_who_shows_nothing_is_anonymous() -> None:
    """Where the policy lists it; residency is fixed at once, by tenant and place."""
    assert check()(Caller(AMERICAN)) == known()
    assert check()(Caller(GERMAN)).residency == "eu-only"
    assert check()(Caller("10.0.0.1")).regions == {"eu-west"}


def test_who_is_known_passes_untouched() -> None:
    """A caller whom this generation has identified is not looked at again; another generation does."""
    caller = check()(Caller(AMERICAN, credential=KEY))

    assert check()(caller) is caller
    assert check(generation=4)(caller) == replace(known(), generation=4)


def test_a_decision_is_remembered_for_address_and_tenant() -> None:
    """A place is looked up once for each address and tenant, and the memory is bounded."""
    received: list[str] = []

    def locate(address: str) -> Place | None:
        received.append(address)
        return PLACES.get(address)

    found = identify(policy(), locate)
    for _ in range(3):
        found(Caller(AMERICAN))
        found(Caller(AMERICAN, credential=KEY))
    assert received == [AMERICAN, AMERICAN]

    for number in range(9000):
        found(Caller(f"10.{number >> 8}.{number & 255}.1"))
    found(Caller(AMERICAN))
    assert received.count(AMERICAN) == 3


def test_a_generation_of_the_same_policy_looks_again() -> None:
    """Another geo database may put an address elsewhere: what the last generation found does not hold."""
    places = dict(PLACES)
    first = identify(policy(), places.get, 1)
    before = first(Caller(AMERICAN))
    places[AMERICAN] = PLACES[GERMAN]
    second = identify(policy(), places.get, 2)

    assert first(before) is before
    assert second(before).residency == second(Caller(GERMAN)).residency != before.residency


@pytest.mark.parametrize(
    "credential", [KEY, f"Bearer {KEY}", f"bearer {KEY}", f"BEARER   {KEY} ", f" {KEY} "]
)
@pytest.mark.parametrize("claim", [ANONYMOUS, "", "initech"])
def test_key_names_its_tenant(credential: str, claim: str) -> None:
    """A key, bare or as Bearer, decides; a claim that nobody vouches for is ignored; the key goes no further."""
    caller = Caller(AMERICAN, claim, credential)

    assert check()(caller) == known("acme")


@pytest.mark.parametrize("credential", ["wrong", "Bearer wrong", "Bearer", "Basic " + KEY, " ", "\udcff"])
@pytest.mark.parametrize("vouched", [False, True])
def test_unknown_key_is_refused(credential: str, vouched: bool) -> None:
    """A key that is not in the table gets nobody in, whoever vouches, and is not repeated."""
    error = refusal(check(), Caller("1.2.3.4", "acme", credential, vouched))

    assert error.fault is Fault.UNAUTHENTICATED
    assert "wrong" not in error.message
    assert not error.counts
    assert not error.retryable


@pytest.mark.parametrize("credential", ["Bearer", "bearer ", " Bearer  ", " "])
def test_nothing_is_no_key(credential: str) -> None:
    """Not even where a policy has the hash of the empty text, as a script gives it whose variable is unset."""
    tenants = {"acme": Tenant(residency="eu-only", keys_sha256=(sha256(b"").hexdigest(),))}

    assert refusal(check(tenants=tenants), Caller(AMERICAN, "", credential)).fault is Fault.UNAUTHENTICATED


def test_trusted_peer_names_the_tenant() -> None:
    """Another gateway's word is enough, because it has checked the key."""
    caller = check()(Caller(AMERICAN, "acme", vouched=True))

    assert caller == known("acme", vouched=True)


def test_trusted_peer_that_names_nobody_brings_anonymous() -> None:
    """A vouched anonymous is anonymous."""
    assert check()(Caller("1.2.3.4", "", vouched=True)).tenant == ANONYMOUS


def test_unknown_tenant_is_forbidden() -> None:
    """A trusted peer cannot invent a tenant."""
    error = refusal(check(), Caller("1.2.3.4", "initech", vouched=True))

    assert error.fault is Fault.FORBIDDEN


def test_key_of_another_tenant_is_forbidden() -> None:
    """A trusted peer that names one tenant and passes another's key is wrong."""
    tenants = {"acme": policy().tenants["acme"], "initech": policy().tenants["anonymous"]}
    error = refusal(check(tenants=tenants), Caller("", "initech", KEY, vouched=True))

    assert error.fault is Fault.FORBIDDEN


def test_claim_without_a_trusted_peer_is_ignored() -> None:
    """Anybody can write a header."""
    assert check()(Caller(AMERICAN, "acme")) == known()


@pytest.mark.parametrize("claim", [ANONYMOUS, "acme", ""])
def test_anonymous_must_be_listed(claim: str) -> None:
    """A policy without anonymous asks everybody for a key."""
    error = refusal(check(tenants=CLOSED), Caller("1.2.3.4", claim))

    assert error.fault is Fault.UNAUTHENTICATED
    assert "Bearer" in error.message


@given(st.text(), st.text(), st.booleans())
def test_only_listed_tenants_come_out(tenant: str, credential: str, vouched: bool) -> None:
    """Whatever is claimed, what comes out is a tenant of the policy without a credential, or an error."""
    try:
        caller = check()(Caller("1.2.3.4", tenant, credential, vouched))
    except GatewayError as error:
        assert error.fault in {Fault.UNAUTHENTICATED, Fault.FORBIDDEN}
    else:
        assert caller.tenant in policy().tenants
        assert caller.credential == ""
        assert vouched or caller.tenant == ANONYMOUS
