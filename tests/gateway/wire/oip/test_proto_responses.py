"""Another server's answers over gRPC are read as protobuf would read them, and large tensors are not copied."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Provenance
from gateway.wire.oip import proto_responses
from gateway.wire.oip.proto_bounds import MAX_PARSED_BYTES
from gateway.wire.proto import messages

CENTRAL = Provenance("central")


def raw(*contents: bytes, **fields: Any) -> Any:
    message = messages.ModelInferResponse(model_name="m", raw_output_contents=contents, **fields)
    for index, content in enumerate(contents):
        message.outputs.add(name=str(index), datatype="UINT8", shape=[len(content)])
    return message


@given(st.lists(st.binary(max_size=300), max_size=4), st.text(max_size=5))
def test_it_is_what_protobuf_reads(contents: list[bytes], version: str) -> None:
    """With raw contents, and without any."""
    body = raw(*contents, model_version=version).SerializeToString()

    read = proto_responses.decode(body, CENTRAL)
    assert read == proto_responses.reference(body, CENTRAL)


def test_large_tensors_are_views() -> None:
    """Of the message, whatever their size: nothing is read elsewhere."""
    body = raw(bytes(1 << 20)).SerializeToString()

    read = proto_responses.decode(body, CENTRAL)
    assert read is not None
    assert isinstance(read.outputs[0].data, memoryview)
    assert read.outputs[0].data.obj is body


def test_typed_contents_that_are_many_are_read_elsewhere() -> None:
    """Each of their elements becomes an object."""
    message = messages.ModelInferResponse(model_name="m")
    output = message.outputs.add(name="y", datatype="FP32", shape=[40_000])
    output.contents.fp32_contents.extend([1.0] * 40_000)
    body = message.SerializeToString()

    assert proto_responses.decode(body, CENTRAL) is None
    assert len(proto_responses.reference(body, CENTRAL).outputs[0].data) == 160_000


@pytest.mark.parametrize("tail", [b"\x32", b"\x32\xff", b"\x07", b"\x32\x05abc"])
def test_what_is_malformed_is_refused(tail: bytes) -> None:
    """By protobuf itself; where it is large, elsewhere."""
    body = raw(b"abc").SerializeToString() + tail
    with pytest.raises(GatewayError):
        proto_responses.decode(body, CENTRAL)
    assert proto_responses.decode(raw(bytes(1 << 20)).SerializeToString() + tail, CENTRAL) is None


def test_too_much_outside_of_raw_contents_is_refused() -> None:
    """Before protobuf makes anything of it."""
    message = messages.ModelInferResponse(model_name="m" * (MAX_PARSED_BYTES + 1))
    with pytest.raises(GatewayError) as caught:
        proto_responses.reference(message.SerializeToString(), CENTRAL)
    assert caught.value.fault is Fault.TOO_LARGE
