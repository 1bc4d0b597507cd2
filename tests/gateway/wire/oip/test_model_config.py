"""Triton's words for a model's settings."""

from __future__ import annotations

import pytest
from google.protobuf import json_format

from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.repository import ModelSettings
from gateway.core.tensor import BYTES, ITEM_SIZES
from gateway.wire.oip.model_config import model_config
from gateway.wire.oip.passed_config import encode_config
from gateway.wire.proto import messages
from gateway.wire.proto.messages import message

TENSORS = tuple(TensorSpec(name, name, (-1, 4)) for name in (*ITEM_SIZES, BYTES))
SPEC = ModelSpec("m", ("1",), "onnxruntime_onnx", TENSORS, TENSORS[:1])


def test_batched():
    """The batch dimension is not among the dimensions; the queue's settings are told."""
    config = model_config(SPEC, ModelSettings(8, (4, 8), 500, 16, is_cached=True))

    assert (config["max_batch_size"], config["backend"], config["input"][0]["dims"]) == (
        8,
        "onnxruntime",
        [4],
    )
    assert config["dynamic_batching"]["preferred_batch_size"] == [4, 8]
    assert config["response_cache"] == {"enable": True}


def test_every_datatype_has_a_name():
    """protobuf takes all that JSON tells."""
    for settings in (ModelSettings(), ModelSettings(8)):
        config = model_config(SPEC, settings)
        message = json_format.ParseDict({"config": config}, messages.ModelConfigResponse())
        assert len(message.config.input) == len(TENSORS)
    assert "dynamic_batching" not in model_config(SPEC, ModelSettings())


@pytest.mark.parametrize("is_cached", [True, False])
def test_a_model_with_a_configuration_is_told_as_that_has_it(is_cached):
    """Every field of it, those that nothing obeys among them."""
    own = message("inference.ModelConfig")(name="m", max_batch_size=3, metric_tags={"a": "b"})
    own.version_policy.specific.versions.append(2)

    config = model_config(SPEC, ModelSettings(64, is_cached=is_cached, config=own))

    assert (config["name"], config["max_batch_size"], config["metric_tags"]) == ("m", 3, {"a": "b"})
    assert config["version_policy"] == {"specific": {"versions": [2]}}
    assert config.get("response_cache") == ({"enable": True} if is_cached else None)
    assert encode_config(config).config.max_batch_size == 3
