"""What a ClientHello offers, as clients write it and as nobody should."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.server.client_hello import offered_protocols


def hello(*offered: str) -> bytes:
    context = ssl.create_default_context()
    if offered:
        context.set_alpn_protocols(offered)
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("offered", [(), ("h2",), ("http/1.1", "x" * 255), tuple(map(str, range(100)))])
def test_what_is_offered(offered: tuple[str, ...]):
    written = hello(*offered)
    expected = tuple(name.encode() for name in offered)
    assert offered_protocols(written) == expected

    body = written[5:]
    records = b"".join(
        b"\x16\x03\x01" + len(body[at : at + 50]).to_bytes(2, "big") + body[at : at + 50]
        for at in range(0, len(body), 50)
    )
    assert offered_protocols(records + b"\x17\x03\x03\0\x01x") == expected


@given(st.integers(0, 300), st.binary(max_size=8))
def test_what_is_broken_is_nobodys_offer(cut: int, noise: bytes):
    written = hello("h2")
    for received in (written[:cut], noise + written, written[:cut] + noise + written[cut + len(noise) :]):
        assert isinstance(offered_protocols(received), tuple)
    assert (
        offered_protocols(b"GET / HTTP/1.1\r\n\r\n") == offered_protocols(b"\x16\x03\x01\0\x02\x02\0") == ()
    )
