"""The HTTP codec of the protocol: round trips, and everything that it must refuse."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from msgspec.structs import replace

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Provenance, Request, Response
from gateway.core.tensor import DATATYPES, MAX_BYTES_ELEMENTS, Tensor
from gateway.wire.oip import json as json_codec
from gateway.wire.oip.inference import BINARY_OUTPUTS, PLAIN_OUTPUTS, OutputFormat
from gateway.wire.oip.json import (
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    parse_header_length,
)
from gateway.wire.oip.json_bounds import MAX_JSON_BYTES

CENTRAL = Provenance("central")
DTYPES = tuple(DATATYPES.values())
NAMES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
PARAMETERS = st.dictionaries(
    NAMES.filter(lambda name: name not in {"timeout", "binary_data_output", "sequence_id", "priority"}),
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | NAMES,
    max_size=3,
)


@st.composite
def arrays(draw, dtypes=DTYPES, **elements):
    if draw(st.integers(0, 5)) == 0:
        words = draw(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=5))
        return np.array([word.encode() for word in words], dtype=object)
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    return draw(hnp.arrays(draw(st.sampled_from(dtypes)), shape, elements=elements or None))


@st.composite
def tensors(draw, **options):
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    return tuple(Tensor.from_numpy(name, draw(arrays(**options))) for name in names)


def equal(left, right):
    """Compare tensors as values: a view and bytes may hold the same elements."""
    return [(t.name, t.datatype, t.shape, bytes(t.data)) for t in left] == [
        (t.name, t.datatype, t.shape, bytes(t.data)) for t in right
    ]


def body_of(**changes):
    image = {"name": "image", "datatype": "FP32", "shape": [2], "data": [1, 2]}
    return msgspec.json.encode({"inputs": [image], **changes})


def binary(tail=b"\0" * 8, **changes):
    """A body with one binary FP32 [2] input: JSON, tail, length of the JSON."""
    image = {"name": "image", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}}
    header = msgspec.json.encode({"inputs": [{**image, **changes}]})
    return header + tail, len(header)


def refused(body, header_length=None):
    with pytest.raises(GatewayError) as caught:
        decode_request(body, header_length)
    return caught.value


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


def test_binary_elements_are_views_of_the_body():
    """A binary tensor costs no copy."""
    body, length = binary()

    (image,) = decode_request(body, length).inputs

    assert isinstance(image.data, memoryview)
    assert image.data.obj is body


@pytest.mark.parametrize(
    "value", ["nan", "NaN", "-1", "+5", "0x10", "1_0", " 5", "5 ", "", "1e3", "٣", "9" * 30]
)
def test_header_length_must_be_a_plain_number(value):
    """Whatever is no plain decimal number is refused before it is used as one."""
    with pytest.raises(GatewayError, match="whole number") as caught:
        parse_header_length(value)

    assert caught.value.fault is Fault.INVALID


def test_header_length_is_read():
    """A number is a number, and no header is no number."""
    assert [parse_header_length(value) for value in ("120", "0", "00", None)] == [120, 0, 0, None]


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


@pytest.mark.parametrize(
    ("timeout", "seconds"), [(1_500_000, 1.5), ("2000000", 2.0), (0, math.inf), (None, math.inf)]
)
def test_timeout_is_in_microseconds(timeout, seconds):
    """The parameter is read as number or digits, and does not stay among the parameters."""
    parameters = {} if timeout is None else {"timeout": timeout}

    read = decode_request(body_of(parameters={**parameters, "priority": 2}), None)

    assert read.timeout_s == seconds
    assert read.parameters == {"priority": 2}


@pytest.mark.parametrize("timeout", [-1, 1.5, True, "soon", "-5", ""])
def test_bad_timeout_is_refused(timeout):
    """A timeout that is no whole number of microseconds is a mistake, not a default."""
    assert "timeout" in refused(body_of(parameters={"timeout": timeout})).message


def test_reserved_parameters_are_refused():
    """Names that begin with triton_ are the server's own."""
    assert "reserved" in refused(body_of(parameters={"triton_x": 1})).message


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


@pytest.mark.parametrize("body", [b"", b"null", b'{"outputs":[{}]}', b'{"outputs":5}', b"<html>"])
def test_malformed_answers_are_refused(body):
    """What is no answer is not taken for one."""
    with pytest.raises(GatewayError):
        decode_response(body, None, CENTRAL)


def texts(*counts: int, cut: int = 0) -> tuple[bytes, int]:
    """A body of as many inputs of empty BYTES elements, and the length of its JSON."""
    inputs = [
        {"name": str(i), "datatype": "BYTES", "shape": [count], "parameters": {"binary_data_size": 4 * count}}
        for i, count in enumerate(counts)
    ]
    header = msgspec.json.encode({"inputs": inputs})
    return header + bytes(4 * sum(counts) - cut), len(header)


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
