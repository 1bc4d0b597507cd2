"""The HTTP codec of the protocol: round trips, and everything that it must refuse."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request, Response
from gateway.core.tensor import DATATYPES, Tensor
from gateway.wire.oip import json as json_codec
from gateway.wire.oip.inference import BINARY_OUTPUTS, PLAIN_OUTPUTS, OutputFormat
from gateway.wire.oip.json import (
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    parse_header_length,
)
from tests.gateway.wire.oip.json_bodies import (
    CENTRAL,
    NAMES,
    PARAMETERS,
    binary,
    body_of,
    refused,
    tensors,
)


def equal(left, right):
    """Compare tensors as values: a view and bytes may hold the same elements."""
    return [(t.name, t.datatype, t.shape, bytes(t.data)) for t in left] == [
        (t.name, t.datatype, t.shape, bytes(t.data)) for t in right
    ]


@given(tensors(), NAMES, st.lists(NAMES, max_size=3, unique=True), PARAMETERS)
def test_request_round_trip(inputs, request_id, outputs, parameters):
    """What encode_request writes, decode_request reads, bit for bit, and asks for binary answers."""
    sent = Request("m", inputs, id=request_id, outputs=tuple(outputs), parameters=parameters)

    body = encode_request(sent)
    read = decode_request(body.join(), body.header_length)

    assert equal(read.inputs, inputs)
    assert (read.id, read.outputs, dict(read.parameters)) == (request_id, tuple(outputs), parameters)
    assert all(read.output_format.writes_binary(name) for name in (*outputs, *([] if outputs else ["any"])))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("write", [encode_request, json_codec.encode_plain_request])
def test_a_parameter_that_json_cannot_carry_is_never_left_out(write, value):
    """It may come over gRPC."""
    tensor = Tensor("x", "FP32", (1,), bytes(4))
    for request in (
        Request("m", (tensor,), parameters={"p": value}),
        Request("m", (replace(tensor, parameters={"p": value}),)),
        Request("m", (tensor,), outputs=("y",), output_parameters={"y": {"p": value}}),
    ):
        with pytest.raises(
            GatewayError, match=r"parameter 'p' is NaN or infinity: .* cannot carry"
        ) as caught:
            write(request)
        assert caught.value.fault is Fault.INVALID


@given(tensors(), NAMES, NAMES, PARAMETERS)
def test_binary_response_round_trip(outputs, model, version, parameters):
    """What encode_response writes as binary, decode_response reads, bit for bit."""
    answer = Response(model, version, outputs, CENTRAL, parameters)

    body = encode_response(answer, BINARY_OUTPUTS, "7")
    read = decode_response(body.join(), body.header_length, CENTRAL)

    assert equal(read.outputs, outputs)
    assert (read.model, read.version, dict(read.parameters)) == (model, version, parameters)


@given(
    tensors(
        dtypes=tuple(dtype for name, dtype in DATATYPES.items() if name != "FP16"),
        allow_nan=False,
        allow_infinity=False,
    )
)
def test_json_response_round_trip(outputs):
    """JSON carries every datatype but FP16 without loss, zero-sized tensors included."""
    body = encode_response(Response("m", "1", outputs, CENTRAL), PLAIN_OUTPUTS, "")
    read = decode_response(body.join(), body.header_length, CENTRAL)

    assert body.header_length is None
    assert equal(read.outputs, outputs)


def test_binary_elements_are_views_of_the_body():
    """A binary tensor costs no copy."""
    body, length = binary()

    (image,) = decode_request(body, length).inputs

    assert isinstance(image.data, memoryview)
    assert image.data.obj is body


def test_header_length_is_read():
    """A number is a number, and no header is no number."""
    assert [parse_header_length(value) for value in ("120", "0", "00", None)] == [120, 0, 0, None]


@pytest.mark.parametrize(
    ("timeout", "seconds"), [(1_500_000, 1.5), ("2000000", 2.0), (0, math.inf), (None, math.inf)]
)
def test_timeout_is_in_microseconds(timeout, seconds):
    """The parameter is read as number or digits, and does not stay among the parameters."""
    parameters = {} if timeout is None else {"timeout": timeout}

    read = decode_request(body_of(parameters={**parameters, "priority": 2}), None)

    assert read.timeout_s == seconds
    assert read.parameters == {"priority": 2}


def test_output_formats():
    """An output's own wish is stronger than the request's, which is stronger than JSON."""
    outputs = [{"name": "a", "parameters": {"binary_data": False}}, {"name": "b"}]

    named = decode_request(body_of(outputs=outputs, parameters={"binary_data_output": True}), None)

    assert named.output_format == OutputFormat(True, {"a": False, "b": True})
    assert [named.output_format.writes_binary(name) for name in "abc"] == [False, True, True]
    assert named.outputs == ("a", "b")
    assert named.parameters == {}
    assert decode_request(body_of(), None).output_format == PLAIN_OUTPUTS
    assert (
        decode_request(body_of(parameters={"binary_data_output": True}), None).output_format == BINARY_OUTPUTS
    )


def test_mixed_response():
    """Outputs of one answer may travel both ways; binary sections follow in order."""
    tensors = tuple(Tensor.from_numpy(name, np.array([1, 2], np.uint8)) for name in "abc")

    body = encode_response(Response("m", "1", tensors, CENTRAL), OutputFormat(True, {"b": False}), "id")

    header = msgspec.json.decode(body.join()[: body.header_length])
    assert [output.get("data") for output in header["outputs"]] == [None, [1, 2], None]
    assert body.join()[body.header_length :] == b"\1\2\1\2"
    assert (header["model_name"], header["model_version"], header["id"]) == ("m", "1", "id")


def test_foreign_answers_are_read():
    """Other servers say null where they have nothing to say, and answer JSON when asked for binary."""
    body = (
        b'{"model_name":"m","model_version":null,"id":null,"parameters":{"a":1,"b":{}},"x":[],'
        b'"outputs":[{"name":"y","datatype":"INT8","shape":[1,2],"parameters":null,"data":[[1,2]]}]}'
    )

    read = decode_response(body, None, CENTRAL)

    assert (read.model, read.version, read.parameters) == ("m", "", {"a": 1})
    assert read.outputs == (Tensor("y", "INT8", (1, 2), b"\1\2"),)


def test_null_is_the_same_as_absent():
    """In every optional place of a request, also within parameters, where MLServer's classes write it."""
    image = {"name": "image", "datatype": "FP32", "shape": [2], "data": [1, 2]}
    wanted = {"name": "y", "parameters": {"binary_data": None, "classification": None, "content_type": None}}
    nothing = {"binary_data_size": None, "content_type": None, "shared_memory_region": None}
    full = msgspec.json.encode(
        {
            "id": None,
            "parameters": {
                "content_type": None,
                "binary_data_output": None,
                "timeout": None,
                "sequence_id": None,
            },
            "inputs": [{**image, "parameters": nothing}],
            "outputs": [wanted],
        }
    )
    bare = msgspec.json.encode({"inputs": [image], "outputs": [{"name": "y"}]})
    empty = body_of(id=None, parameters=None, outputs=None)

    assert decode_request(full, None) == decode_request(bare, None)
    assert decode_request(empty, None) == decode_request(body_of(), None)


def test_null_data_beside_binary_data_is_none():
    """A class with a field for each writes both; without either there is nothing to read."""
    body, length = binary(data=None)
    bare, bare_length = binary()

    assert decode_request(body, length) == decode_request(bare, bare_length)
    image = {"name": "image", "datatype": "FP32", "shape": [2], "data": None, "parameters": None}
    assert "neither data nor binary_data_size" in refused(msgspec.json.encode({"inputs": [image]})).message


def test_null_in_an_answer_is_the_same_as_absent():
    """MLServer and KServe answer with every field of their classes."""
    output = {"name": "y", "datatype": "FP32", "shape": [1], "data": [0.5]}
    told = {"model_name": "m", "model_version": None, "id": None, "parameters": None}

    read = decode_response(
        msgspec.json.encode(
            {**told, "outputs": [{**output, "parameters": {"content_type": None, "headers": {}}}]}
        ),
        None,
        CENTRAL,
    )

    assert read == decode_response(
        msgspec.json.encode({"model_name": "m", "outputs": [output]}), None, CENTRAL
    )


@pytest.mark.parametrize("format_", [BINARY_OUTPUTS, PLAIN_OUTPUTS])
def test_parameters_of_outputs_round_trip(format_):
    """Beside the size that the binary section needs, which nobody reads as a parameter."""
    said = {"content_type": "np", "n": 1}
    answer = Response(
        "m", "1", (Tensor("y", "INT8", (1,), b"a", said), Tensor("z", "INT8", (1,), b"b")), CENTRAL
    )

    body = encode_response(answer, format_, "")
    read = decode_response(body.join(), body.header_length, CENTRAL)

    assert [output.parameters for output in read.outputs] == [said, {}]
    assert read == answer
