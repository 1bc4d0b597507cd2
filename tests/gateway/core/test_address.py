"""IP addresses as text."""

from __future__ import annotations

import pytest

from gateway.core.address import canonical


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
        ("٣.2.3.4", ""),
    ],
)
def test_one_spelling_for_each_address(text: str, address: str) -> None:
    """Ports, brackets, quotes, zones and IPv4 in IPv6 go; what is no address is empty."""
    assert canonical(text) == address
