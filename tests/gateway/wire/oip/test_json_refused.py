"""What is refused of bodies over HTTP: what is no request, what is too much, and how it is told."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request
from gateway.core.tensor import MAX_BYTES_ELEMENTS
from gateway.wire.oip import json as json_codec
from gateway.wire.oip.json import (
    decode_request,
    decode_response,
    encode_request,
    parse_header_length,
)
from gateway.wire.oip.json_bounds import MAX_JSON_BYTES
from tests.gateway.wire.oip.json_bodies import CENTRAL, binary, body_of, refused, tensors, texts


@given(st.binary(max_size=200), st.none() | st.integers(1, 250))
def test_garbage_is_refused(body, header_length):
    """No bytes whatever raise anything but GatewayError, and no message repeats them."""
    error = refused(body, header_length)

    assert error.fault is Fault.INVALID
    assert error.message.isprintable()


@given(tensors(), st.data())
def test_mutilated_request_is_refused_or_read(inputs, data):
    """Cutting or lengthening a binary body is always noticed."""
    body = encode_request(Request("m", inputs))
    whole = body.join()
    cut = data.draw(st.integers(body.header_length, len(whole)))
    changed = whole[:cut] if cut < len(whole) else whole + b"\0"

    error = refused(changed, body.header_length)

    assert error.fault is Fault.INVALID
    assert "unexpected" in error.message


@pytest.mark.parametrize(
    "value", ["nan", "NaN", "-1", "+5", "0x10", "1_0", " 5", "5 ", "", "1e3", "٣", "9" * 30]
)
def test_header_length_must_be_a_plain_number(value):
    """Whatever is no plain decimal number is refused before it is used as one."""
    with pytest.raises(GatewayError, match="whole number") as caught:
        parse_header_length(value)

    assert caught.value.fault is Fault.INVALID


@pytest.mark.parametrize(
    ("body", "length", "message"),
    [
        (b"", None, "failed to parse the request JSON"),
        (b"{", None, "failed to parse the request JSON"),
        (b"[]", None, "Expected `object`, got `array`"),
        (b"{}", None, "missing required field `inputs`"),
        (b'{"inputs":[{"datatype":"FP32","shape":[1],"data":[1]}]}', None, "missing required field `name`"),
        (b'{"inputs":[{"name":"x","shape":[1],"data":[1]}]}', None, "missing required field `datatype`"),
        (b'{"inputs":[{"name":"x","datatype":"FP32","data":[1]}]}', None, "missing required field `shape`"),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1.5],"data":[1]}]}', None, "Expected `int`"),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[true],"data":[1]}]}', None, "Expected `int`"),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":"1","data":[1]}]}', None, "Expected `array`"),
        (b'{"id":5,"inputs":[]}', None, "Expected `str | null`, got `int`"),
        (b'{"id":"\xff\xfe","inputs":[]}', None, "not UTF-8"),
        (b'{"future":' + b"[" * 1_000_000, None, "nested too deeply"),
        (body_of(parameters={"a": [1]}), None, "got `array`"),
        (body_of() + b"x", None, "trailing characters"),
        (body_of(), 100_000, "larger than the body"),
        (body_of(parameters={"binary_data_output": 1}), None, "must be true or false"),
        (
            body_of(outputs=[{"name": "y", "parameters": {"binary_data": "yes"}}]),
            None,
            "must be true or false",
        ),
        (
            body_of(outputs=[{"name": "y"}, {"name": "y"}]),
            None,
            "Duplicate output name 'y' is not allowed in a request",
        ),
        (body_of(outputs=[{}]), None, "missing required field `name`"),
        (*binary(shape=[3]), "input byte size mismatch for input 'image'. Expected 12, got 8"),
        (*binary(shape=[-2]), "negative dimension"),
        (*binary(shape=[2**62, 2**62, 0, 2**62]), "too large a dimension"),
        (*binary(shape=[2**63, 2]), "causes total element count to exceed maximum size of"),
        (*binary(shape=[1] * 65), "more than 64 dimensions"),
        (*binary(datatype="BF16"), "Expected 4, got 8"),
        (*binary(datatype="fp32"), "unknown datatype"),
        (*binary(datatype="BYTES", shape=[3]), "does not hold the 3 BYTES elements"),
        (*binary(tail=b"\0" * 7), "unexpected size for input 'image': the body ends before its 8 bytes do"),
        (*binary(tail=b"\0" * 9), "unexpected additional input data: 1 bytes"),
        (*binary(data=[1, 2]), "both data and binary_data_size"),
        (*binary(parameters={"binary_data_size": -8}), "whole number of bytes"),
        (*binary(parameters={"binary_data_size": True}), "whole number of bytes"),
        (*binary(parameters={"binary_data_size": 8.0}), "whole number of bytes"),
        (*binary(parameters={"binary_data_size": "8"}), "whole number of bytes"),
        (*binary(parameters={"binary_data_size": 2**70}), "the body ends before"),
        (*binary(parameters={}), "neither data nor binary_data_size"),
        (*binary(name="a\x1b[2J"), "cannot be printed"),
        (body_of(outputs=[{"name": "a\n"}]), None, "cannot be printed"),
        (*binary(name=""), "between 1 and 256 characters"),
        (*binary(name="x" * 257), "between 1 and 256 characters"),
    ],
)
def test_bad_request_is_refused(body, length, message):
    """Each way to be wrong has its own words."""
    error = refused(body, length)

    assert error.fault is Fault.INVALID
    assert message in error.message


def test_duplicate_inputs_are_refused():
    """Which of the two would be meant, nobody knows."""
    image = {"name": "image", "datatype": "FP32", "shape": [1], "data": [1]}

    error = refused(body_of(inputs=[image, image]))

    assert error.message == "input 'image' already exists in request"


def test_shared_memory_is_not_supported():
    """What Edgeway would answer wrongly it refuses, naming the parameter."""
    shared = {"name": "x", "datatype": "FP32", "shape": [1], "parameters": {"shared_memory_region": "r"}}

    for body in (
        body_of(inputs=[shared]),
        body_of(outputs=[{"name": "y", "parameters": {"shared_memory_region": "r"}}]),
    ):
        assert refused(body).fault is Fault.UNSUPPORTED


def test_large_json_is_refused():
    """JSON takes many times its size once decoded, so it has a limit of its own."""
    error = refused(b" " * (MAX_JSON_BYTES + 1))

    assert error.fault is Fault.TOO_LARGE
    assert "binary data" in error.message


@pytest.mark.parametrize("timeout", [-1, 1.5, True, "soon", "-5", ""])
def test_bad_timeout_is_refused(timeout):
    """A timeout that is no whole number of microseconds is a mistake, not a default."""
    assert "timeout" in refused(body_of(parameters={"timeout": timeout})).message


def test_reserved_parameters_are_refused():
    """Names that begin with triton_ are the server's own."""
    assert "reserved" in refused(body_of(parameters={"triton_x": 1})).message


@pytest.mark.parametrize("body", [b"", b"null", b'{"outputs":[{}]}', b'{"outputs":5}', b"<html>"])
def test_malformed_answers_are_refused(body):
    """What is no answer is not taken for one."""
    with pytest.raises(GatewayError):
        decode_response(body, None, CENTRAL)


def test_bytes_elements_are_bounded_over_all_inputs_together(monkeypatch):
    """None of them is walked over where they are too many; the most that there may be are read."""
    half = MAX_BYTES_ELEMENTS // 2
    assert len(decode_request(*texts(half, half)).inputs) == 2

    def walk(_tensor):
        raise AssertionError("a tensor was walked over")

    monkeypatch.setattr(json_codec, "check_size", walk)
    for counts in [(half, half, 1), (MAX_BYTES_ELEMENTS + 1,), (1 << 18,) * 60]:
        error = refused(*texts(*counts))
        assert (error.fault, str(MAX_BYTES_ELEMENTS) in error.message) == (Fault.TOO_LARGE, True)


def test_texts_as_json_are_bounded_with_the_binary_ones():
    """The bound is the request's, however its inputs travel."""
    listed = {"name": "t", "datatype": "BYTES", "shape": [1], "data": ["a"]}
    count = MAX_BYTES_ELEMENTS
    raw = {"name": "r", "datatype": "BYTES", "shape": [count], "parameters": {"binary_data_size": 4 * count}}
    header = msgspec.json.encode({"inputs": [listed, raw]})

    assert refused(header + bytes(4 * count), len(header)).fault is Fault.TOO_LARGE
