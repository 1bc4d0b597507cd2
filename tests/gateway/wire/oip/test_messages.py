"""The protocol's JSON messages: defaults that are nobody's, and omitted fields."""

from __future__ import annotations

import msgspec
import pytest

from gateway.core.errors import GatewayError
from gateway.wire.oip.messages import RequestMessage, ResponseOut, TensorOut, parse

DECODER = msgspec.json.Decoder(RequestMessage)


def test_unknown_fields_are_ignored():
    """The protocol grows; what a client says beyond it does no harm."""
    message = parse(DECODER, b'{"inputs":[],"future":{"a":[1]}}')

    assert message.inputs == []


def test_null_is_the_same_as_absent():
    """Clients whose messages are objects of classes write each of their fields."""
    message = parse(DECODER, b'{"id":null,"parameters":null,"outputs":null,"inputs":[]}')

    assert message == parse(DECODER, b'{"inputs":[]}')


def test_empty_fields_are_left_out():
    """An answer without id and parameters says nothing of them."""
    body = msgspec.json.encode(ResponseOut("m", "1", [TensorOut("y", "FP32", (1,), data=[0.5])]))

    assert body == (
        b'{"model_name":"m","model_version":"1",'
        b'"outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[0.5]}]}'
    )


def test_errors_do_not_repeat_the_input():
    """A message says where and what was expected; what was found stays with the client."""
    with pytest.raises(GatewayError) as caught:
        parse(DECODER, b'{"inputs":"secret-token"}')

    assert "secret-token" not in caught.value.message
    assert "$.inputs" in caught.value.message
