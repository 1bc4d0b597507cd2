"""The protocol's small JSON bodies."""

from __future__ import annotations

import msgspec
import pytest

from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.errors import GatewayError
from gateway.wire.oip.metadata import (
    EXTENSIONS,
    LIVE,
    READY,
    decode_error,
    decode_model,
    encode_error,
    encode_model,
    encode_model_ready,
    encode_not_ready,
    encode_server,
)
from tests.fakes.data_plane import DIGITS


def test_error_round_trip():
    """Every refusal is an object with one key."""
    body = encode_error('say "what" is wrong\n')

    assert msgspec.json.decode(body) == {"error": 'say "what" is wrong\n'}
    assert decode_error(body) == 'say "what" is wrong?'


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"error":5}', b'{"detail":"x"}', b'"\xff"', b"[" * 99999]
)
def test_foreign_refusals_may_say_nothing(body):
    """A refusal that is not as the protocol has it has no message."""
    assert decode_error(body) == ""


def test_model_round_trip():
    """Metadata that we write we also read."""
    assert decode_model(encode_model(DIGITS)) == DIGITS
    assert msgspec.json.decode(encode_model(DIGITS))["inputs"] == [
        {"name": "image", "datatype": "FP32", "shape": [-1, 4]}
    ]


def test_foreign_model_metadata():
    """Other servers leave out what they do not know."""
    assert decode_model(b'{"name":"m"}') == ModelSpec("m", (), "", (), ())
    nothing = b'{"name":"m","versions":null,"platform":null,"inputs":null,"x":1}'
    assert decode_model(nothing) == ModelSpec("m", (), "", (), ())
    shapeless = decode_model(b'{"name":"m","outputs":[{"name":"y","datatype":"FP32","shape":null}]}')
    assert shapeless.outputs == (TensorSpec("y", "FP32", ()),)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"name":1}',
        b'{"name":"\xff"}',
        b'{"name":"m","inputs":[5]}',
        b'{"name":"m","inputs":[{"shape":[9223372036854775808]}]}',
    ],
)
def test_malformed_model_metadata(body):
    """What is no metadata is not taken for it, nor what gRPC could not pass on."""
    with pytest.raises(GatewayError, match="metadata"):
        decode_model(body)


def test_health_bodies():
    """Clients read ``live`` or ``ready`` from the body; each finds its key."""
    assert msgspec.json.decode(LIVE) == {"live": True}
    assert msgspec.json.decode(READY) == {"ready": True, "live": True}
    assert msgspec.json.decode(encode_not_ready())["ready"] is False
    assert msgspec.json.decode(encode_model_ready("m", ready=True)) == {"name": "m", "ready": True}
    assert msgspec.json.decode(encode_model_ready("m", ready=False))["ready"] is False


def test_server_metadata_lists_only_what_is_served():
    """A client may rely on every extension that is listed."""
    assert msgspec.json.decode(encode_server("edgeway", "1")) == {
        "name": "edgeway",
        "version": "1",
        "extensions": list(EXTENSIONS),
    }


def test_foreign_messages_are_bounded():
    """What another server says is cut, so that it cannot fill a log."""
    assert decode_error(encode_error("a" * 10_000)) == "a" * 197 + "..."
