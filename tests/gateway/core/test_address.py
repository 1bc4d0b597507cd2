"""IP addresses as text."""

from __future__ import annotations

import pytest

from gateway.core.address import canonical, network, own_address, silent_proxy


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("1.2.3.4", "1.2.3.4"),
        (" 1.2.3.4 ", "1.2.3.4"),
        ("1.2.3.4:5678", "1.2.3.4"),
        ('"1.2.3.4:5678"', "1.2.3.4"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ('"[2001:db8::1]:443"', "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("[::ffff:102:304]:80", "1.2.3.4"),
        ("::", "::"),
        ("", ""),
        ("unknown", ""),
        ("_hidden", ""),
        ("1.2.3", ""),
        ("01.2.3.4", ""),
        ("1.2.3.4.5", ""),
        ("unix:", ""),
        ("[", ""),
        ("[2001:db8::1]x", ""),
        ("[2001:db8::1]:https", ""),
        ("1.2.3.4:https", ""),
        ("1.2.3.4:", ""),
        ("1.2.3.4%eth0", ""),
        ("fe80::1%", ""),
        ("for=1.2.3.4", ""),
        ("٣.2.3.4", ""),
    ],
)
def test_one_spelling_for_each_address(text: str, address: str) -> None:
    """Ports, brackets, quotes, zones and IPv4 in IPv6 go; what is no address is empty."""
    assert canonical(text) == address


@pytest.mark.parametrize(
    ("peer", "address", "may_be_client"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        (silent_proxy("10.0.0.1"), "10.0.0.1", False),
        (silent_proxy("::ffff:10.0.0.1"), "10.0.0.1", False),
        ("", "", True),
        (silent_proxy(""), "", True),
    ],
)
def test_silent_proxy_is_no_client(peer: str, address: str, may_be_client: bool) -> None:
    """Its address is its own, and nobody else's."""
    assert own_address(peer) == (address, may_be_client)


def test_silent_proxy_is_no_address() -> None:
    """Whoever takes it for one finds none."""
    assert canonical(silent_proxy("10.0.0.1")) == ""


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("a:b", "a:b"),
    ],
)
def test_what_one_client_has_of_the_addresses(address: str, part: str) -> None:
    """Of IPv6 every client has 64 bits to choose from."""
    assert network(address) == part
