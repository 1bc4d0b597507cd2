"""What is counted in a message's bytes, before protobuf makes objects of them."""

from __future__ import annotations

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.wire.oip.inference import Inference
from gateway.wire.oip.proto_bounds import MAX_FIELDS, MAX_PARSED_BYTES, check_fields
from gateway.wire.oip.proto_reuse import InferMessages, reference, varint
from gateway.wire.oip.validation import MAX_DECODED, MAX_TENSORS
from gateway.wire.proto import messages

NAMED = b"\x0a\x01m"
RAW = b"\x3a\x00"
HALF = MAX_FIELDS // 2 + 1


def field(tag: bytes, content: bytes) -> bytes:
    return tag + varint(len(content)) + content


def by_either(message: bytes) -> Inference:
    """Read by what is remembered, or, where that would hold the event loop, by the reference."""
    return InferMessages().decode(message) or reference(message)


@pytest.mark.parametrize("end", [b"", RAW], ids=["typed", "raw"])
@pytest.mark.parametrize(
    "many",
    [
        pytest.param(b"\x2a\x00" * (MAX_FIELDS + 1), id="inputs"),
        pytest.param(b"\x32\x00" * (MAX_FIELDS + 1), id="outputs"),
        pytest.param(b"\x22\x00" * (MAX_FIELDS + 1), id="parameters"),
        pytest.param(RAW * (MAX_FIELDS + 1), id="raw contents"),
        pytest.param(field(b"\x2a", b"\x22\x00" * (MAX_FIELDS + 1)), id="parameters of an input"),
        pytest.param(field(b"\x32", b"\x12\x00" * (MAX_FIELDS + 1)), id="parameters of an output"),
        pytest.param(field(b"\x2a", b"\x18\x01" * (MAX_FIELDS + 1)), id="dimensions"),
        pytest.param(field(b"\x2a", b"\x18\x01" * HALF) * 2, id="of several inputs together"),
        pytest.param(b"\xaa\x80\x00\x00" * (MAX_FIELDS + 1), id="tags that are written longer"),
        pytest.param(b"\x78\x01" * (MAX_FIELDS + 1), id="numbers that nobody knows"),
        pytest.param(b"\x7d\0\0\0\0" + b"\x79" + bytes(8) + b"\x7b\x7c" * MAX_FIELDS, id="fixed and groups"),
    ],
)
def test_too_many_fields(many: bytes, end: bytes) -> None:
    """Whatever they are: two bytes would become an object of hundreds. Both readers say the same."""
    for read in (reference, by_either):
        with pytest.raises(GatewayError, match="more than 10240 fields") as refused:
            read(NAMED + many + end)
        assert refused.value.fault is Fault.INVALID


@pytest.mark.parametrize("end", [b"", RAW], ids=["typed", "raw"])
def test_too_much_outside_of_raw_contents(end: bytes) -> None:
    """A packed shape is one field, and would be millions of numbers."""
    body = NAMED + field(b"\x2a", field(b"\x1a", b"\1" * MAX_PARSED_BYTES))
    for read in (reference, by_either):
        with pytest.raises(GatewayError, match="outside of raw_input_contents") as refused:
            read(body + end)
        assert refused.value.fault is Fault.TOO_LARGE


def test_raw_contents_have_no_such_limit() -> None:
    message = messages.ModelInferRequest(model_name="m", raw_input_contents=[bytes(2 * MAX_PARSED_BYTES)])
    message.inputs.add(name="x", datatype="UINT8", shape=[2 * MAX_PARSED_BYTES])

    for read in (reference, by_either):
        assert len(read(message.SerializeToString()).inputs[0].data) == 2 * MAX_PARSED_BYTES


def test_as_many_tensors_as_may_be() -> None:
    """The limits leave room for each other: the most inputs, each with a parameter and raw contents."""
    message = messages.ModelInferRequest(model_name="m", raw_input_contents=[b"\0"] * MAX_TENSORS)
    for number in range(MAX_TENSORS):
        entry = message.inputs.add(name=f"x{number}", datatype="UINT8", shape=[1])
        entry.parameters["p"].bool_param = True
        message.outputs.add(name=f"y{number}")

    for read in (reference, by_either):
        assert len(read(message.SerializeToString()).inputs) == MAX_TENSORS


def test_typed_elements_are_counted_over_all_inputs() -> None:
    message = messages.ModelInferRequest(model_name="m")
    for name in "xy":
        entry = message.inputs.add(name=name, datatype="BOOL", shape=[MAX_DECODED // 2 + 1])
        entry.contents.bool_contents.extend([True] * (MAX_DECODED // 2 + 1))

    with pytest.raises(GatewayError, match="input 'y' has more than the 524287 elements"):
        reference(message.SerializeToString())


def test_an_image_may_be_typed() -> None:
    message = messages.ModelInferRequest(model_name="m")
    entry = message.inputs.add(name="x", datatype="FP32", shape=[1, 3, 224, 224])
    entry.contents.fp32_contents.extend([0.5] * 150_528)

    assert len(reference(message.SerializeToString()).inputs[0].data) == 4 * 150_528


def test_a_long_id_is_refused_before_known_heads_too() -> None:
    """The id is no part of a head that is remembered."""
    message = messages.ModelInferRequest(model_name="m", raw_input_contents=[b"\0"])
    message.inputs.add(name="x", datatype="UINT8", shape=[1])
    ours = InferMessages()
    ours.decode(message.SerializeToString())
    message.id = "i" * 1025

    with pytest.raises(GatewayError, match="id of a request"):
        ours.decode(message.SerializeToString())


@pytest.mark.parametrize("body", [b"\x80" * 11, b"\x2a\x05a", b"\x2a", b"\x0e\x00", b"\x29\x00", b"\x2a\x80"])
def test_what_cannot_be_followed_is_left_to_protobuf(body: bytes) -> None:
    check_fields(body)
    with pytest.raises(GatewayError, match="not a valid ModelInferRequest"):
        reference(body)
