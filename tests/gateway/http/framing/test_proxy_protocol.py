"""PROXY protocol: what is a header, where it ends, and what is none."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.framing.proxy_protocol import HEADER_LONGEST, ProxyHeaderError, parse_proxy_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
ADDRESSES = st.ip_addresses(v=4) | st.ip_addresses(v=6)
PORTS = st.integers(0, 65_535)


def version_1(source: IPv4Address | IPv6Address, ports: tuple[int, int]) -> bytes:
    destination = "10.0.0.1" if source.version == 4 else "2001:db8::1"
    return f"PROXY TCP{source.version} {source} {destination} {ports[0]} {ports[1]}\r\n".encode()


def version_2(
    source: IPv4Address | IPv6Address,
    ports: tuple[int, int] = (1, 2),
    *,
    extra: bytes = b"",
    command: int = 1,
) -> bytes:
    family = 0x11 if source.version == 4 else 0x21
    block = source.packed + bytes(len(source.packed)) + struct.pack(">HH", *ports) + extra
    return SIGNATURE + bytes((0x20 | command, family)) + struct.pack(">H", len(block)) + block


HEADERS = st.one_of(
    st.builds(version_1, ADDRESSES, st.tuples(PORTS, PORTS)),
    st.builds(version_2, ADDRESSES, st.tuples(PORTS, PORTS), extra=st.binary(max_size=300)),
)


@given(ADDRESSES, st.tuples(PORTS, PORTS), st.binary(max_size=40))
def test_version_1(source, ports, rest) -> None:
    """The source's address comes back, and the header ends after its line."""
    header = version_1(source, ports)

    assert parse_proxy_header(header + rest) == (str(source), len(header))


@given(ADDRESSES, st.tuples(PORTS, PORTS), st.binary(max_size=300), st.binary(max_size=40))
def test_version_2(source, ports, extra, rest) -> None:
    """The source's address comes back, whatever TLVs follow it; they belong to the header."""
    header = version_2(source, ports, extra=extra)

    assert parse_proxy_header(header + rest) == (str(source), len(header))


@given(HEADERS, st.data())
def test_more_is_asked_for_until_the_header_is_whole(header, data) -> None:
    """No beginning of a header is taken for one, or for something else."""
    length = data.draw(st.integers(0, len(header) - 1))

    assert parse_proxy_header(header[:length]) is None


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_or_refused(data) -> None:
    """Nothing but the one error leaves the parser, and a header never ends after what was given."""
    for prefix in (b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21"):
        try:
            found = parse_proxy_header(prefix + data)
        except ProxyHeaderError:
            continue
        assert found is None or 0 < found[1] <= len(prefix + data)


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff:f::1 ffff::2 65535 65535\r\n",
        version_2(IPv4Address("192.0.2.1"), command=0),
        SIGNATURE + b"\x20\x00\x00\x00",
        SIGNATURE + b"\x21\x00\x00\x03abc",
        SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216),
    ],
    ids=["unknown", "unknown with addresses", "local", "local of nobody", "unspecified", "unix"],
)
def test_proxy_that_speaks_for_itself(header: bytes) -> None:
    """Health checks and families without an address tell none, and are headers all the same."""
    assert parse_proxy_header(header + b"GET /") == ("", len(header))


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1\r\n",
        b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY\r\n",
        b"PROXY \r\n",
        b"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        b"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 nobody 1 2\r\n",
        b"PROXY TCP4 \xff\xfe 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 ::1 ::2 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP6 ::1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2" + b" " * 80 + b"\r\n",
        b"PROXY " + b"A" * 120,
    ],
)
def test_malformed_version_1(line: bytes) -> None:
    """A line that is not one, to the letter, is refused."""
    with pytest.raises(ProxyHeaderError):
        parse_proxy_header(line)


@pytest.mark.parametrize(
    "header",
    [
        SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11),
        SIGNATURE + b"\x21\x21\x00\x23" + bytes(35),
        SIGNATURE + b"\x21\x11\xff\xff",
        SIGNATURE[:-1] + b"X\x21\x11\x00\x0c" + bytes(12),
    ],
    ids=["version", "command", "short IPv4", "short IPv6", "long", "signature"],
)
def test_malformed_version_2(header: bytes) -> None:
    """Another version, an unknown command, lengths that cannot be: refused, and without waiting for more."""
    with pytest.raises(ProxyHeaderError):
        parse_proxy_header(header)


def test_longest_header() -> None:
    """What a reader must look ahead is told, and is enough."""
    address = IPv6Address(socket.inet_pton(socket.AF_INET6, "2001:db8::7"))
    header = version_2(address, extra=bytes(HEADER_LONGEST - 16 - 36))

    assert len(header) == HEADER_LONGEST
    assert parse_proxy_header(header) == ("2001:db8::7", HEADER_LONGEST)
