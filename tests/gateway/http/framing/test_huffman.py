"""HPACK's Huffman code, against the examples of RFC 7541 and what libnghttp2 writes."""

from __future__ import annotations

import ngh2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.framing import huffman
from tests.fakes.http2_frames import coded

EXAMPLES = {
    "f1e3c2e5f23a6ba0ab90f4ff": b"www.example.com",
    "a8eb10649cbf": b"no-cache",
    "d07abe941054d444a8200595040b8166e082a62d1bff": b"Mon, 21 Oct 2013 20:13:21 GMT",
    "": b"",
}


@pytest.mark.parametrize(("written", "text"), EXAMPLES.items())
def test_examples_of_the_standard(written: str, text: bytes):
    assert huffman.decode(bytes.fromhex(written)) == text


@given(st.binary(max_size=200))
def test_every_byte(text: bytes):
    assert huffman.decode(coded(text)) == text


@pytest.mark.parametrize("byte", range(0x20, 0x7F))
def test_words_are_those_of_libnghttp2(byte: int):
    connection = ngh2.Connection(ngh2.Role.CLIENT, ngh2.Configuration(max_deflate_dynamic_table_size=0))
    connection.initiate_connection({})
    # So many short words that it chooses the code whatever the byte.
    text = b"0" * 100 + bytes([byte]) * 4 + b"0" * 100
    connection.send_request([(b":method", b"GET"), (b"x", text)], end_stream=True)

    assert coded(text) in connection.data_to_send()


@pytest.mark.parametrize(
    "written",
    [b"\xff\xff\xff\xff", b"\xf1\xff", b"\x00", b"\x07\x00", b"\xff" * 3000],
    ids=["end of string", "nine bits of padding", "padding of zeros", "word cut off", "long"],
)
def test_what_is_not_in_this_code(written: bytes):
    with pytest.raises(ValueError):
        huffman.decode(written)
