"""Who the members are, by what the policy lists and what names lead to."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.app.pools.listing import MOST, Name, listed, names_of
from routing.endpoint import Endpoint, MemberAddress


def endpoint(*addresses: Any, address: str = "") -> Endpoint:
    return Endpoint(tier="central", region="here", protocol="grpc", addresses=addresses, address=address)


NAME = Name("central.test", 80)


def test_addresses_are_members_and_names_lead_to_members() -> None:
    """A listed address is called what it is, that of a name by the name as well; weight and zone go along."""
    definition = endpoint("10.0.0.1:80", MemberAddress(address="Central.test:80", weight=3, zone="a"))

    found = listed(definition, {NAME: ("10.0.0.2", "::1")})

    assert [(each.name, each.address, each.weight, each.zone) for each in found] == [
        ("10.0.0.1:80", "10.0.0.1:80", 1, ""),
        ("central.test:80/10.0.0.2", "central.test:80", 3, "a"),
        ("central.test:80/::1", "central.test:80", 3, "a"),
    ]
    assert [each.ip for each in found] == ["10.0.0.1", "10.0.0.2", "::1"]


def test_the_first_of_two_that_are_called_the_same_wins() -> None:
    """One address, however often and however it is written, is one member."""
    first = MemberAddress(address="[0:0:0:0:0:0:0:1]:80", weight=5)

    (found,) = listed(endpoint(first, "[::1]:80"), {})

    assert (found.name, found.weight) == ("[::1]:80", 5)


def test_the_older_form_is_one_member_whatever_its_name_leads_to() -> None:
    """``address`` is connected to as it stands; its name is looked up where it is connected to."""
    definition = endpoint(address="central.test:80")

    assert [each.name for each in listed(definition, {NAME: ("10.0.0.2", "10.0.0.3")})] == ["central.test:80"]
    assert names_of(definition) == ()


def test_names_are_looked_up_once() -> None:
    """Addresses are no names, and a name with two ports is two."""
    definition = endpoint("a.test:80", "10.0.0.1:80", "A.test:80", "a.test:81", "[::1]:80")

    assert names_of(definition) == (Name("a.test", 80), Name("a.test", 81))


@pytest.mark.parametrize("known", [{}, {NAME: ()}])
def test_a_name_that_leads_nowhere_has_no_members(known: dict[Name, tuple[str, ...]]) -> None:
    """Before it was looked up, and where nothing was found."""
    assert listed(endpoint("central.test:80"), known) == ()


def test_there_are_never_too_many() -> None:
    """A name with thousands of addresses has as many members as an endpoint may have."""
    many = tuple(f"10.0.{number >> 8}.{number & 255}" for number in range(3000))

    assert len(listed(endpoint("central.test:80"), {NAME: many})) == MOST
