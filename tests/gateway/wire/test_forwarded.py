"""Who the client is behind proxies."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.address import canonical, silent_proxy
from gateway.wire.forwarded import TrustedProxies

PROXIES = TrustedProxies(["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"])
ADDRESSES = st.ip_addresses().map(str).filter(lambda text: not PROXIES.trusts(text))
TRUSTED = st.sampled_from(["10.0.0.1", "10.255.0.7", "127.0.0.1", "fd00::1", "[fd00::2]:443", "10.0.0.9:80"])
HEADERS = st.text() | st.lists(st.ip_addresses().map(str) | st.text(max_size=5)).map(", ".join)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("9.9.9.9", "", "9.9.9.9"),
        ("9.9.9.9", "1.2.3.4", "9.9.9.9"),
        ("10.0.0.1", "", ""),
        ("10.0.0.1", "10.0.0.1", ""),
        ("10.0.0.1", "10.0.0.9, fd00::7", ""),
        ("10.0.0.1", "unknown", ""),
        ("10.0.0.1", "1.2.3.4, _hidden", ""),
        ("10.0.0.1", "for=1.2.3.4", ""),
        ("10.0.0.1", ",,,", ""),
        ("10.0.0.1", " , 10.0.0.2", ""),
        ("10.0.0.1", "1.2.3.4, unknown, 10.0.0.2", ""),
        ("10.0.0.1", "1.2.3.4%eth0", ""),
        ("10.0.0.1", "192.168.1.7", "192.168.1.7"),
        ("10.0.0.1", "fe80::7%eth0", "fe80::7"),
        (silent_proxy("10.0.0.1"), "", ""),
        (silent_proxy("10.0.0.1"), "1.2.3.4", "1.2.3.4"),
        (silent_proxy("9.9.9.9"), "", ""),
        (silent_proxy("9.9.9.9"), "1.2.3.4", ""),
        ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", ""),
        ("::ffff:10.0.0.1", "1.2.3.4:99", "1.2.3.4"),
        ("fd00::1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "1.2.3.4, unknown", ""),
        ("10.0.0.1", "1.2.3.4, ", ""),
        ("10.0.0.1", "garbage, 1.2.3.4", "1.2.3.4"),
        ("", "1.2.3.4", ""),
        ("unix:", "1.2.3.4", ""),
    ],
)
def test_client_is_the_rightmost_address_that_is_not_a_proxy(peer: str, forwarded: str, client: str) -> None:
    """Only what trusted proxies have said counts, read from the right."""
    assert PROXIES.client(peer, forwarded) == client


@given(ADDRESSES, HEADERS)
def test_stranger_cannot_say_who_it_is(peer: str, forwarded: str) -> None:
    """No byte of a header changes the address of a peer that is not trusted."""
    assert PROXIES.client(peer, forwarded) == canonical(peer)


@given(TRUSTED, HEADERS, ADDRESSES, st.lists(TRUSTED, max_size=4))
def test_no_untrusted_byte_changes_the_address(peer: str, forged: str, client: str, chain: list[str]) -> None:
    """Whatever a client wrote in front, the address that the first trusted proxy saw stays the client's."""
    honest = ", ".join([client, *chain])

    assert PROXIES.client(canonical(peer), honest) == canonical(client)
    assert PROXIES.client(canonical(peer), f"{forged}, {honest}") == canonical(client)


@given(st.text(), st.text())
def test_answer_is_an_address_or_nothing(peer: str, forwarded: str) -> None:
    """Any text in: a canonical address or the empty string out, the same each time."""
    client = PROXIES.client(peer, forwarded)

    assert client == "" or str(ip_address(client)) == client
    assert PROXIES.client(peer, forwarded) == client


@given(st.ip_addresses())
def test_canonical_form_is_stable(address: object) -> None:
    """The canonical form of a canonical form is itself."""
    once = canonical(str(address))

    assert once
    assert canonical(once) == once


def test_long_header_is_read_and_forgotten() -> None:
    """A header of many kilobytes gives the right answer and takes no room in the memory."""
    proxies = TrustedProxies(["10.0.0.0/8"])

    assert proxies.client("10.0.0.1", "6.6.6.6, " * 5000 + "1.2.3.4") == "1.2.3.4"
    assert proxies.remembered == 0


def test_flood_of_headers_is_forgotten() -> None:
    """The memory of header lines is bounded."""
    proxies = TrustedProxies(["10.0.0.0/8"])

    for number in range(5000):
        proxies.client("10.0.0.1", f"1.2.{number >> 8}.{number & 255}")

    assert proxies.remembered == 4096


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.1.2.3", True),
        (silent_proxy("10.1.2.3"), True),
        (silent_proxy("11.0.0.1"), False),
        ("::ffff:10.1.2.3", True),
        ("11.0.0.1", False),
        ("", False),
        ("x", False),
    ],
)
def test_trust_is_about_the_network(peer: str, trusted: bool) -> None:
    """A peer is trusted when its address lies in a listed network."""
    assert PROXIES.trusts(peer) is trusted


def test_nobody_is_trusted_by_default() -> None:
    """Without networks every peer is the client, and the repr says so."""
    assert TrustedProxies().client("127.0.0.1", "1.2.3.4") == "127.0.0.1"
    assert repr(TrustedProxies()) == "<TrustedProxies none>"
    assert repr(TrustedProxies(["10.0.0.0/8", "::1/128"])) == "<TrustedProxies 10.0.0.0/8, ::1/128>"


@pytest.mark.parametrize("network", ["10.0.0.1/8", "everyone", "10.0.0.0/33"])
def test_wrong_network_is_refused(network: str) -> None:
    """A list that would trust something else than was meant is an error at start."""
    with pytest.raises(ValueError, match=r".+"):
        TrustedProxies([network])
