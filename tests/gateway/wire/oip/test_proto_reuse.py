"""The fast way over ModelInfer's messages equals protobuf's."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.core.errors import Fault, GatewayError
from gateway.core.partitions import Partition
from gateway.core.request import Provenance, Response
from gateway.core.tensor import Tensor
from gateway.wire.oip import proto as oip_proto
from gateway.wire.oip.inference import Inference
from gateway.wire.oip.proto_reuse import InferMessages, reference, varint
from gateway.wire.proto import messages

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
EDGE = Provenance("edge")


@st.composite
def requests(draw):
    """Messages of every kind: raw and typed, whole and wrong, with and without each field."""
    message = messages.ModelInferRequest(
        model_name=draw(NAMES), model_version=draw(st.sampled_from(["", "1"])), id=draw(NAMES)
    )
    for name in draw(st.lists(NAMES, max_size=3)):
        shape = draw(st.lists(st.integers(-1, 3), max_size=2))
        entry = message.inputs.add(
            name=name, datatype=draw(st.sampled_from(["INT8", "BYTES", "X"])), shape=shape
        )
        if draw(st.booleans()):
            entry.parameters[draw(st.sampled_from(["p", "q", "binary_data_size"]))].bool_param = draw(
                st.booleans()
            )
        if draw(st.integers(0, 4)) == 0:
            entry.contents.int_contents.extend([1, 2])
    for name in draw(st.lists(NAMES, max_size=2)):
        wanted = message.outputs.add(name=name)
        wanted.parameters["classification"].int64_param = draw(st.integers(-1, 3))
        if draw(st.booleans()):
            wanted.parameters["content_type"].string_param = draw(NAMES)
    if draw(st.booleans()):
        message.parameters[draw(st.sampled_from(["timeout", "priority", "note"]))].int64_param = 7
    message.raw_input_contents.extend(draw(st.lists(st.binary(max_size=6), max_size=3)))
    return message


def outcome(read, message):
    try:
        return read(message)
    except GatewayError as error:
        return error.fault, error.message


ACME, OTHER = Partition(1, "acme", "anywhere"), Partition(1, "acme", "eu-only")


def learned(fast: InferMessages, body: bytes) -> Inference:
    """What is read from a message that is then answered."""
    inference = fast.decode(memoryview(body), ACME)
    if inference.lesson is not None:
        assert not inference.lesson.is_whole
        inference.lesson.learn()
    return replace(inference, lesson=None)


def both(fast: InferMessages, body: bytes) -> None:
    expected = outcome(reference, body)
    for _ in range(2):
        assert outcome(partial(learned, fast), body) == expected


@given(requests())
def test_decoding_equals_protobuf(message):
    """Any message means, or is refused as, the same, the first and the second time."""
    both(InferMessages(), message.SerializeToString())


@given(requests(), st.data())
def test_broken_messages_equal_protobuf(message, data):
    """A message with one byte changed, cut short or followed by more is judged alike."""
    body = bytearray(message.SerializeToString())
    if body:
        place = data.draw(st.integers(0, len(body) - 1))
        body[place] = data.draw(st.integers(0, 255))
        body = body[: data.draw(st.integers(0, len(body)))] + data.draw(st.binary(max_size=4))
    both(InferMessages(), bytes(body))


@given(st.binary(max_size=40))
def test_noise_equals_protobuf(body):
    """Bytes that are no message are judged alike."""
    both(InferMessages(), body)


def common(value: int = 0, request_id: str = "", **changes) -> bytes:
    message = messages.ModelInferRequest(model_name="m", id=request_id, **changes)
    message.inputs.add(name="x", datatype="INT8", shape=[200])
    message.raw_input_contents.append(bytes([value]) * 200)
    return message.SerializeToString()


def test_heads_are_remembered_without_the_id():
    """Every request has its own id and elements; all else is read once. The tensors are views."""
    fast = InferMessages()

    for value in range(5):
        body = common(value, f"r-{value}")
        read = learned(fast, body)
        assert (read.id, bytes(read.inputs[0].data[:1])) == (f"r-{value}", bytes([value]))
        assert isinstance(read.inputs[0].data, memoryview) or value == 0

    assert repr(fast) == "<InferMessages 1 requests, 0 answers>"


def test_nothing_is_remembered_before_it_is_answered():
    """Nor without a partition, nor for another one, nor of a message whose elements are in its head."""
    fast = InferMessages()

    assert fast.decode(common()).lesson is None
    lesson = fast.decode(common(), ACME).lesson
    assert fast.layout(common(), ACME) is None
    assert repr(fast) == "<InferMessages 0 requests, 0 answers>"

    lesson.learn()
    assert fast.decode(common(), ACME).lesson is None
    assert fast.layout(common(), ACME).size == len(common())
    assert fast.layout(common(), OTHER) is None
    assert fast.decode(common(), OTHER).lesson is not None

    typed = messages.ModelInferRequest(model_name="m")
    typed.inputs.add(name="x", datatype="INT8", shape=[1]).contents.int_contents.append(1)
    assert fast.decode(typed.SerializeToString(), ACME).lesson is None


def test_known_head_before_a_wrong_size_is_refused():
    """A known head does not vouch for what follows it."""
    fast = InferMessages()
    learned(fast, common())
    message = messages.ModelInferRequest.FromString(common())
    message.raw_input_contents[0] = b"\0"

    with pytest.raises(GatewayError) as refused:
        fast.decode(message.SerializeToString(), ACME)

    assert refused.value.fault is Fault.INVALID


def test_fields_after_the_elements_are_read():
    """Fields may come in any order; an uncommon one is read by protobuf."""
    tail = messages.ModelInferRequest(model_version="3").SerializeToString()

    assert InferMessages().decode(common() + tail).version == "3"


@given(
    st.lists(st.tuples(NAMES, st.sampled_from([(2,), (1, 200), ()])), max_size=3),
    st.sampled_from(["", "r-1", "ö" * 200]),
    st.booleans(),
    st.sampled_from([{}, {"content_type": "np"}]),
)
def test_encoding_equals_protobuf(tensors, request_id, with_parameters, said):
    """Answers are, byte for byte, what protobuf writes."""
    outputs = tuple(Tensor(name, "INT8", shape, bytes(3 * len(shape) * 70), said) for name, shape in tensors)
    response = Response("m", "1", outputs, EDGE, {"cost": 2} if with_parameters else {})
    fast = InferMessages()
    expected = oip_proto.encode_response(response, request_id).SerializeToString()

    for _ in range(2):
        assert b"".join(fast.encode(response, request_id)) == expected


def test_answers_that_differ_in_parameters_do_not_share_a_head():
    """Those with parameters are written anew each time, and leave nothing to those without."""
    fast = InferMessages()
    for said in ({"content_type": "np"}, {}, {"content_type": "pd"}, {}):
        response = Response("m", "1", (Tensor("y", "INT8", (1,), b"a", said),), EDGE)
        expected = oip_proto.encode_response(response, "").SerializeToString()
        assert b"".join(fast.encode(response, "")) == expected

    assert repr(fast) == "<InferMessages 0 requests, 1 answers>"


@pytest.mark.parametrize(
    ("number", "octets"), [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\1"), (300, b"\xac\2")]
)
def test_varint(number, octets):
    """Seven bits to a byte, the lowest first."""
    assert varint(number) == octets
