"""Model configurations of other servers, between JSON and protobuf."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.repository import ModelSettings
from gateway.wire.oip.passed_config import (
    MAX_BYTES,
    decode_config,
    decode_config_message,
    encode_config,
    passed_on,
)
from gateway.wire.proto import messages


def message() -> Any:
    """A configuration with most kinds of fields."""
    made = messages.ModelConfigResponse()
    config = made.config
    config.name, config.max_batch_size, config.backend = "m", 8, "python"
    tensor = config.input.add(name="image", data_type=11, dims=[3, -1])
    tensor.reshape.shape.append(1 << 40)
    config.version_policy.specific.versions.extend([3, 4])
    config.sequence_batching.max_sequence_idle_microseconds = 1 << 40
    config.sequence_batching.oldest.max_candidate_sequences = 4
    config.model_transaction_policy.decoupled = True
    config.parameters["key"].string_value = "value"
    config.instance_group.add(kind=2, count=3)
    return made


def test_protobuf_becomes_json_as_triton_writes_it() -> None:
    """Names of the protocol, enums by name, 64 bits as numbers, fields without a value; no absent message."""
    found = json.loads(decode_config_message(message().SerializeToString()))

    assert found["input"][0] == {
        "name": "image",
        "data_type": "TYPE_FP32",
        "format": "FORMAT_NONE",
        "dims": [3, -1],
        "reshape": {"shape": [1 << 40]},
        "is_shape_tensor": False,
        "allow_ragged_batch": False,
        "optional": False,
        "is_non_linear_format_io": False,
    }
    assert found["version_policy"] == {"specific": {"versions": [3, 4]}}
    assert found["sequence_batching"]["max_sequence_idle_microseconds"] == 1 << 40
    assert "direct" not in found["sequence_batching"]
    assert found["parameters"] == {"key": {"string_value": "value"}}
    assert (found["output"], found["platform"]) == ([], "")
    assert "dynamic_batching" not in found


def test_json_becomes_the_same_protobuf() -> None:
    """Whichever wire a configuration came over, it goes on over both."""
    assert encode_config(json.loads(decode_config_message(message().SerializeToString()))) == message()


def test_json_is_passed_on_whole() -> None:
    """Also what a newer server has in it; protobuf leaves that out."""
    body = (
        b'{"name": "theirs", "max_batch_size": 2, "brand_new": {"a": 1},'
        b' "input": [{"dims": [3], "data_type": "TYPE_FP4", "newer": [null]}]}'
    )

    found = passed_on(decode_config(body), "mine", None)

    assert {name: found[name] for name in ("name", "max_batch_size", "brand_new")} == {
        "name": "mine",
        "max_batch_size": 2,
        "brand_new": {"a": 1},
    }
    (tensor,) = found["input"]
    assert (tensor["dims"], tensor["data_type"], tensor["newer"]) == ([3], "TYPE_FP4", [None])
    assert (tensor["optional"], found["output"]) == (False, [])
    assert list(encode_config(found).config.input[0].dims) == [3]


@pytest.mark.parametrize(
    "size",
    [b'"max_batch_size": "64"', b'"max_batch_size": 64.0', b'"maxBatchSize": 64', b'"max_batch_size": 64'],
)
def test_json_has_the_form_of_the_protocol(size: bytes) -> None:
    """Servers write JSON in all of protobuf's spellings; clients read numbers, and look fields up by name."""
    body = (
        b"{" + size + b', "input": [{"data_type": 11, "dims": ["-1", "3"]}], "dynamic_batching": null,'
        b' "instance_group": null, "sequence_batching": {"max_sequence_idle_microseconds": "5000000"}}'
    )

    found = passed_on(decode_config(body), "m", ModelSettings(max_batch_size=8))

    assert (type(found["max_batch_size"]), found["max_batch_size"]) == (int, 8)
    assert (found["input"][0]["data_type"], found["input"][0]["dims"]) == ("TYPE_FP32", [-1, 3])
    assert found["sequence_batching"]["max_sequence_idle_microseconds"] == 5_000_000
    assert "dynamic_batching" not in found
    assert found["instance_group"] == []


def test_what_becomes_too_large() -> None:
    """Values that were left out stand in what is passed on: an input has a few bytes, and many with them."""
    with pytest.raises(GatewayError) as caught:
        decode_config(b'{"input": [' + b"{}," * 900 + b"{}]}")
    assert caught.value.fault is Fault.INVALID


@pytest.mark.parametrize(
    ("theirs", "own", "told"),
    [(64, 8, 8), (8, 64, 8), (8, 0, 8), (0, 8, 0)],
)
def test_what_both_take(theirs: int, own: int, told: int) -> None:
    """Without a batch dimension there, none is told of: their shapes stand in it."""
    body = json.dumps({"max_batch_size": theirs}).encode()

    assert passed_on(body, "m", ModelSettings(max_batch_size=own))["max_batch_size"] == told


def test_cache_of_either() -> None:
    """Answers may come from a cache where one of them has one, unless the other server forbids it."""
    forbids = b'{"response_cache": {"enable": false}}'

    assert passed_on(b"{}", "m", ModelSettings(is_cached=True))["response_cache"] == {"enable": True}
    assert "response_cache" not in passed_on(b"{}", "m", ModelSettings())
    assert passed_on(forbids, "m", ModelSettings(is_cached=True))["response_cache"] == {"enable": False}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b'{"max_batch_size": "many"}',
        b'{"input": 3}',
        b'{"input": [1]}',
        b'{"name": {"a": 1}}',
        b'{"input": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b'{"input": [' + b"{}," * 2000 + b"{}]}",
        b'{"name": "' + b"x" * MAX_BYTES + b'"}',
    ],
)
def test_what_is_no_configuration(body: bytes) -> None:
    """Or one that would hold the loop."""
    with pytest.raises(GatewayError) as caught:
        found = decode_config(body)
        # What the protocol does not have is passed on as it is, whatever it looks like.
        assert body.startswith(b'{"a"') and body[1:-1].replace(b" ", b"") in found
        raise GatewayError(Fault.INVALID, "")
    assert caught.value.fault is Fault.INVALID


def test_message_with_too_many_parts() -> None:
    """An empty part has two bytes, and a hundred times as much in JSON."""
    many, long, deep = (messages.ModelConfigResponse() for _ in range(3))
    for _ in range(2000):
        many.config.input.add()
    long.config.name = "x" * MAX_BYTES
    deep.config.input.add(dims=[1] * (MAX_BYTES - 100))

    for made in (many, long, deep):
        with pytest.raises(GatewayError) as caught:
            decode_config_message(made.SerializeToString())
        assert caught.value.fault is Fault.INVALID


def test_enum_of_a_newer_server() -> None:
    """Its number stands in for the name that is not known."""
    made = messages.ModelConfigResponse()
    made.config.input.add(data_type=99)

    assert json.loads(decode_config_message(made.SerializeToString()))["input"][0]["data_type"] == 99
