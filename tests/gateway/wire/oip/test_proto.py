"""The protobuf codec: what goes in comes out, and what the protocol forbids is refused with a reason."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import NO_PARAMETERS, Provenance, Request, Response
from gateway.core.tensor import BYTES, DATATYPES, MAX_BYTES_ELEMENTS, Tensor
from gateway.wire.oip import proto as oip_proto
from gateway.wire.oip.validation import MAX_DECODED
from gateway.wire.proto import messages

CENTRAL = Provenance("central")
PRINTABLE = st.characters().filter(str.isprintable)
parameter_values = st.one_of(
    st.booleans(),
    st.integers(-(1 << 63), (1 << 64) - 1),
    st.floats(allow_nan=False),
    st.text(max_size=20),
)
parameters = st.dictionaries(
    st.text(min_size=1, max_size=10).filter(
        lambda name: not name.startswith("triton_") and name not in {"timeout", "sequence_id", "priority"}
    ),
    parameter_values,
    max_size=4,
)


@st.composite
def tensors(draw: st.DrawFn, name: str) -> Tensor:
    datatype = draw(st.sampled_from([*DATATYPES, BYTES]))
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
    count = math.prod(shape)
    if datatype == BYTES:
        items = draw(st.lists(st.binary(max_size=6), min_size=count, max_size=count))
        return Tensor(name, datatype, shape, b"".join(struct.pack("<I", len(item)) + item for item in items))
    size = count * DATATYPES[datatype].itemsize
    return Tensor(name, datatype, shape, draw(st.binary(min_size=size, max_size=size)))


@st.composite
def tensor_lists(draw: st.DrawFn) -> tuple[Tensor, ...]:
    names = draw(st.lists(st.text(PRINTABLE, min_size=1, max_size=8), unique=True, max_size=4))
    return tuple(draw(tensors(name)) for name in names)


def typed(datatype: str, shape: list[int], field: str, values: Any) -> Any:
    message = messages.ModelInferRequest(model_name="m")
    entry = message.inputs.add(name="x", datatype=datatype, shape=shape)
    getattr(entry.contents, field).extend(values)
    return message


def raw(*contents: bytes, datatype: str = "FP32", shape: tuple[int, ...] = (1, 2)) -> Any:
    message = messages.ModelInferRequest(model_name="m", raw_input_contents=contents)
    message.inputs.add(name="x", datatype=datatype, shape=shape)
    return message


def refusal(message: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        oip_proto.decode_request(message)
    return caught.value


@given(
    inputs=tensor_lists(),
    parameters=parameters,
    outputs=st.lists(st.text(PRINTABLE, min_size=1, max_size=8), unique=True, max_size=3),
    names=st.tuples(st.text(max_size=8), st.text(max_size=8), st.text(max_size=8)),
)
def test_request_survives_the_wire(inputs, parameters, outputs, names):
    """What is written as a request is read as the same request."""
    model, version, request_id = names
    request = Request(model, inputs, request_id, version, tuple(outputs), parameters)

    body = oip_proto.encode_request(request).SerializeToString()
    read = oip_proto.decode_request(oip_proto.parse(messages.ModelInferRequest, body))

    assert (read.model, read.version, read.id) == names
    assert (read.inputs, read.outputs) == (request.inputs, request.outputs)
    assert read.parameters == parameters
    assert [type(value) for value in read.parameters.values()] == [
        type(parameters[name]) for name in read.parameters
    ]
    assert read.timeout_s == math.inf


@given(outputs=tensor_lists(), parameters=parameters)
def test_response_survives_the_wire(outputs, parameters):
    """What is written as an answer is read as the same answer, and repeats the request's id."""
    response = Response("m", "3", outputs, CENTRAL, parameters)

    body = oip_proto.encode_response(response, "id-1").SerializeToString()
    message = oip_proto.parse(messages.ModelInferResponse, body)

    assert message.id == "id-1"
    assert oip_proto.decode_response(message, CENTRAL) == response


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body):
    """No body makes the codec fail in another way than with a fault of the client's."""
    try:
        oip_proto.decode_request(oip_proto.parse(messages.ModelInferRequest, body))
    except GatewayError as error:
        assert error.fault in {Fault.INVALID, Fault.UNSUPPORTED}
        assert not error.retryable
        assert not error.counts


def test_body_that_is_no_message_is_refused_without_repeating_it():
    """A body that protobuf cannot read is INVALID, and the message says which one was expected."""
    with pytest.raises(GatewayError) as caught:
        oip_proto.parse(messages.ModelInferRequest, b"\xff\xffsecret")

    assert caught.value.fault is Fault.INVALID
    assert caught.value.message == "the body is not a valid ModelInferRequest"


@pytest.mark.parametrize(
    ("datatype", "field", "values"),
    [
        ("BOOL", "bool_contents", [True, False]),
        ("INT8", "int_contents", [-128, 127]),
        ("INT16", "int_contents", [-32768, 32767]),
        ("INT32", "int_contents", [-(1 << 31), (1 << 31) - 1]),
        ("INT64", "int64_contents", [-(1 << 63), (1 << 63) - 1]),
        ("UINT8", "uint_contents", [0, 255]),
        ("UINT16", "uint_contents", [0, 65535]),
        ("UINT32", "uint_contents", [0, (1 << 32) - 1]),
        ("UINT64", "uint64_contents", [0, (1 << 64) - 1]),
        ("FP32", "fp32_contents", [0.5, math.inf]),
        ("FP64", "fp64_contents", [0.1, -math.inf]),
        ("BYTES", "bytes_contents", [b"", b"\x00ab"]),
    ],
)
def test_typed_contents_become_little_endian_bytes(datatype, field, values):
    """Typed elements are packed as the raw form has them, to the ends of their range."""
    inference = oip_proto.decode_request(typed(datatype, [1, 2], field, values))

    (tensor,) = inference.inputs
    assert (tensor.datatype, tensor.shape) == (datatype, (1, 2))
    assert tensor.numpy().ravel().tolist() == values


@pytest.mark.parametrize(
    ("datatype", "field", "value"),
    [
        ("INT8", "int_contents", 128),
        ("INT8", "int_contents", -129),
        ("INT16", "int_contents", 1 << 15),
        ("UINT8", "uint_contents", 256),
        ("UINT16", "uint_contents", 1 << 16),
    ],
)
def test_element_out_of_range_is_refused(datatype, field, value):
    """A wider field does not let an element wrap around."""
    error = refusal(typed(datatype, [1], field, [value]))

    assert error.fault is Fault.INVALID
    assert error.message == f"data of input 'x' has a value out of range for {datatype}"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (typed("FP16", [1], "fp32_contents", [1.0]), "FP16, which travels in raw_input_contents only"),
        (typed("FP8", [1], "fp32_contents", [1.0]), "unknown datatype"),
        (typed("FP32", [1], "fp64_contents", [1.0]), "FP32, which travels in fp32_contents only"),
        (typed("FP32", [1, 2], "fp32_contents", [1.0]), "its shape needs 2 elements, got 1"),
        (typed("FP32", [1 << 62, 1 << 62], "fp32_contents", [1.0]), "elements, got 1"),
        (typed("FP32", [-1, -1], "fp32_contents", [1.0]), "negative dimension"),
        (typed("FP32", [1], "fp32_contents", []), "its shape needs 1 elements, got 0"),
        (raw(b"1234"), "Expected 8, got 4"),
        (raw(b"12345678", shape=(-1, -2)), "negative dimension"),
        (raw(b"12345678", shape=(1 << 62, 1 << 62)), "causes total element count to exceed maximum size of"),
        (raw(b"12345678", shape=(1,) * 65), "more than 64 dimensions"),
        (raw(b"12345678", datatype="FP8"), "unknown datatype"),
        (raw(b"12345678", b"12345678"), "raw_input_contents has 2 entries for 1 inputs"),
        (raw(struct.pack("<I", 9) + b"abc", datatype="BYTES", shape=(1,)), "ends inside an element"),
    ],
)
def test_tensor_that_is_not_what_it_says_is_refused(message, words):
    """Datatype, shape and bytes have to agree, and the message says what does not."""
    error = refusal(message)

    assert error.fault is Fault.INVALID
    assert words in error.message


def test_raw_and_typed_contents_are_not_mixed():
    """One input has its elements in one place."""
    message = typed("FP32", [1], "fp32_contents", [1.0])
    message.raw_input_contents.append(b"1234")

    error = refusal(message)

    assert error.fault is Fault.INVALID
    assert "both contents and raw_input_contents" in error.message


def test_duplicate_names_are_refused():
    """Neither two inputs nor two requested outputs share a name."""
    inputs = raw(b"12345678", b"12345678")
    inputs.inputs.add(name="x", datatype="FP32", shape=(1, 2))
    outputs = raw(b"12345678")
    outputs.outputs.add(name="y")
    outputs.outputs.add(name="y")

    assert refusal(inputs).message == "input 'x' already exists in request"
    assert refusal(outputs).message == "Duplicate output name 'y' is not allowed in a request"


def test_parameters_are_judged():
    """Reserved and empty parameters are refused; a timeout is taken out as seconds, classes as numbers."""
    reserved, empty, classified = raw(b"12345678"), raw(b"12345678"), raw(b"12345678")
    reserved.parameters["triton_x"].bool_param = True
    empty.parameters["p"].SetInParent()
    classified.outputs.add(name="y").parameters["classification"].int64_param = 3
    timed = raw(b"12345678")
    timed.parameters["timeout"].int64_param = 500_000
    timed.parameters["priority"].uint64_param = 1

    inference = oip_proto.decode_request(timed)

    assert refusal(reserved).fault is Fault.INVALID
    assert refusal(empty).message == "a parameter has no value"
    assert dict(oip_proto.decode_request(classified).output_format.classes) == {"y": 3}
    assert inference.timeout_s == 0.5
    assert inference.parameters == {"priority": 1}


def test_parameter_wider_than_64_bits_cannot_be_written():
    """An integer that HTTP carries and gRPC cannot is refused, not cut."""
    request = Request("m", (), parameters={"big": 1 << 64})

    with pytest.raises(GatewayError, match="64 bits") as caught:
        oip_proto.encode_request(request)

    assert caught.value.fault is Fault.INVALID


@pytest.mark.parametrize(
    ("value", "choice"),
    [
        (True, "bool_param"),
        (-(1 << 63), "int64_param"),
        ((1 << 63) - 1, "int64_param"),
        (1 << 63, "uint64_param"),
        ((1 << 64) - 1, "uint64_param"),
        (1.0, "double_param"),
        ("x", "string_param"),
    ],
)
def test_parameter_takes_the_field_that_holds_it(value, choice):
    """Each value travels in the field of its own kind."""
    message = oip_proto.encode_request(Request("m", (), parameters={"p": value}))

    assert message.parameters["p"].WhichOneof("parameter_choice") == choice
    assert getattr(message.parameters["p"], choice) == value


def test_requests_without_parameters_share_one_mapping():
    """The common case makes no mapping."""
    assert oip_proto.decode_request(raw(b"12345678")).parameters is NO_PARAMETERS


def test_views_of_a_larger_buffer_can_be_written():
    """Tensors that are slices of an HTTP body travel on over gRPC."""
    body = memoryview(b"....12345678....")
    request = Request("m", (Tensor("x", "FP32", (2,), body[4:12]),))

    message = oip_proto.encode_request(request)

    assert list(message.raw_input_contents) == [b"12345678"]


def test_typed_answers_of_other_servers_are_read():
    """A server that answers with typed contents is understood."""
    message = messages.ModelInferResponse(model_name="m", model_version="1")
    entry = message.outputs.add(name="y", datatype="FP32", shape=[2])
    entry.contents.fp32_contents.extend([0.25, 0.75])

    response = oip_proto.decode_response(message, CENTRAL)

    assert response.outputs[0].numpy().tolist() == [0.25, 0.75]
    assert response.parameters is NO_PARAMETERS


def test_model_metadata_survives_the_wire():
    """What is written about a model is read as the same."""
    spec = ModelSpec(
        "m",
        ("1", "2"),
        "onnxruntime_onnx",
        (TensorSpec("x", "FP32", (-1, 4)),),
        (TensorSpec("y", "INT64", ()),),
    )

    body = oip_proto.encode_model(spec).SerializeToString()

    assert oip_proto.decode_model(oip_proto.parse(messages.ModelMetadataResponse, body)) == spec


def test_typed_contents_have_a_limit_of_elements():
    """Each typed element is an object on its way to bytes: millions of them would hold everybody up."""
    error = refusal(typed("BOOL", [MAX_DECODED + 1], "bool_contents", [True] * (MAX_DECODED + 1)))

    assert error.fault is Fault.INVALID
    assert "send raw_input_contents" in error.message


@pytest.mark.parametrize(("field", "limit"), [("model_name", 256), ("model_version", 256), ("id", 1024)])
def test_names_have_a_limit(field, limit):
    """Names end up in keys, labels and logs; nobody has such long ones but who means harm."""
    message = typed("FP32", [1], "fp32_contents", [1.0])
    setattr(message, field, "x" * limit)
    oip_proto.decode_request(message)

    setattr(message, field, "x" * (limit + 1))

    assert refusal(message).fault is Fault.INVALID


def texts(*counts: int, is_raw: bool) -> Any:
    message = messages.ModelInferRequest(model_name="m")
    for index, count in enumerate(counts):
        entry = message.inputs.add(name=str(index), datatype="BYTES", shape=[count])
        if is_raw:
            message.raw_input_contents.append(bytes(4 * count))
        else:
            entry.contents.bytes_contents.extend([b""] * count)
    return message


@pytest.mark.parametrize("is_raw", [True, False], ids=["raw", "typed"])
def test_bytes_elements_are_bounded_over_all_inputs_together(monkeypatch, is_raw: bool) -> None:
    """None of them is walked over where they are too many; the most that there may be are read."""
    half = MAX_BYTES_ELEMENTS // 2
    assert len(oip_proto.decode_request(texts(half, half, is_raw=is_raw)).inputs) == 2

    def walk(*_arguments: Any) -> None:
        raise AssertionError("a tensor was walked over")

    monkeypatch.setattr(oip_proto, "check_size", walk)
    monkeypatch.setattr(oip_proto, "_decode_typed", walk)
    for counts in [(half, half, 1), (1 << 16,) * 3]:
        assert refusal(texts(*counts, is_raw=is_raw)).fault is Fault.TOO_LARGE


def test_parameters_of_an_answer_without_a_value_are_left_out():
    """Of a type that comes later, for one; a request's are refused, as they would be ignored."""
    message = messages.ModelInferResponse(model_name="m")
    output = message.outputs.add(name="y", datatype="INT8", shape=[1])
    message.raw_output_contents.append(b"a")
    for parameters in (message.parameters, output.parameters):
        parameters["later"].SetInParent()
        parameters["content_type"].string_param = "np"
    sent = messages.ModelInferRequest(model_name="m")
    sent.inputs.add(name="x", datatype="INT8", shape=[1]).parameters["later"].SetInParent()
    sent.raw_input_contents.append(b"a")

    answered = oip_proto.decode_response(message, Provenance("central"))

    assert answered.parameters == answered.outputs[0].parameters == {"content_type": "np"}
    with pytest.raises(GatewayError, match="a parameter has no value"):
        oip_proto.decode_request(sent)
