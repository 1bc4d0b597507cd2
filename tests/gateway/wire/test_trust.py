"""Who is believed about what."""

from __future__ import annotations

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import ANONYMOUS
from gateway.wire.trust import Claims, Trust, TrustedClaims, regions_value

TRUST = Trust(["10.1.0.0/16"], ["10.2.0.0/16"])
ALL = Claims("203.0.113.9", "clinic", "Bearer key")
FORWARDED = Claims("203.0.113.9", "clinic", "", "1", "eu-west, eu-north,")


def test_a_proxy_is_believed_about_the_address_only():
    """A load balancer passes its clients' headers on: their word about the tenant must not become its own."""
    caller = TRUST.check("10.1.0.1", ALL).caller

    assert (caller.address, caller.tenant, caller.vouched) == ("203.0.113.9", ANONYMOUS, False)
    assert caller.credential == "Bearer key"


def test_a_gateway_is_believed():
    """A gateway has checked the tenant; its word about address, tenant, hops and regions counts."""
    believed = TRUST.check("10.2.0.1", FORWARDED)

    assert (believed.caller.address, believed.caller.tenant, believed.caller.vouched) == (
        "203.0.113.9",
        "clinic",
        True,
    )
    assert (believed.hops, believed.regions) == (1, {"eu-west", "eu-north"})


def test_a_stranger_is_not_believed():
    """Anybody else is the client himself."""
    caller = TRUST.check("192.0.2.7", ALL).caller

    assert (caller.address, caller.tenant, caller.vouched) == ("192.0.2.7", ANONYMOUS, False)


@pytest.mark.parametrize("peer", ["10.1.0.1", "192.0.2.7", ""])
@pytest.mark.parametrize("claims", [FORWARDED, Claims(hops="0"), Claims(regions="eu-west")])
def test_a_forwarded_request_from_nobody_we_know(peer: str, claims: Claims):
    """It is refused: answered as anonymous, a tenant's data could go where its residency forbids."""
    with pytest.raises(GatewayError, match="trusted_gateways") as caught:
        TRUST.check(peer, claims)

    assert caught.value.fault is Fault.FORBIDDEN


def test_a_tier_without_policy_takes_forwards_from_all():
    """Central protects nothing by the tenant, and its clients are gateways."""
    believed = Trust(forwards_from_all=True).check("192.0.2.7", FORWARDED)

    assert (believed.caller.address, believed.caller.tenant, believed.hops) == ("192.0.2.7", ANONYMOUS, 1)


@pytest.mark.parametrize("address", ["unknown", "unknown, 10.2.0.9"])
def test_an_unknown_client_stays_unknown(address: str):
    """A gateway that does not know the client says so; its own address must not become the client's."""
    believed = TRUST.check("10.2.0.1", Claims(address, hops="1", regions="eu-west"))

    assert believed.caller.address == ""


@pytest.mark.parametrize("hops", ["x", "-1", "1e3", "100", "٣"])
def test_hops_that_no_gateway_writes(hops: str):
    """They are refused: read as none, a request could go round for ever."""
    with pytest.raises(GatewayError) as caught:
        TRUST.check("10.2.0.1", Claims(hops=hops))

    assert caught.value.fault is Fault.INVALID


def test_regions_survive_the_way():
    """What one gateway writes the next one reads, in an order that tells nothing."""
    regions = frozenset({"us-east", "eu-west"})

    assert regions_value(regions) == "eu-west,us-east"
    assert TRUST.check("10.2.0.1", Claims(regions=regions_value(regions))).regions == regions


def test_repr_and_nothing_said():
    """An ordinary request has passed no gateway and may go anywhere that the policy allows."""
    assert TRUST.check("192.0.2.7", Claims()) == TrustedClaims(
        TRUST.check("192.0.2.7", Claims()).caller, 0, None
    )
    assert repr(TRUST) == (
        "<Trust <TrustedProxies 10.1.0.0/16, 10.2.0.0/16>, gateways <TrustedProxies 10.2.0.0/16>>"
    )


@pytest.mark.parametrize(
    ("gateways", "from_all", "expected"),
    [
        ((), True, ("anonymous", "acme")),
        ((), False, ("anonymous", "")),
        (("10.0.0.0/8",), True, ("acme", "")),
        (("10.0.0.0/8",), False, ("acme", "")),
    ],
)
def test_a_tenant_who_is_not_believed_is_kept_as_a_claim_where_nobody_is_checked(
    gateways, from_all, expected
) -> None:
    """It gives no rights; a central tier tells by it whose sequence a step is of. None is long."""
    subject = Trust((), gateways, forwards_from_all=from_all)

    caller = subject.check("10.1.1.1", Claims(tenant="acme")).caller
    long = subject.check("10.1.1.1", Claims(tenant="x" * 1000)).caller

    assert (caller.tenant, caller.claimed) == expected
    assert len(long.claimed) <= 128
