"""Triton's words for a model's settings."""

from __future__ import annotations

from google.protobuf import json_format

from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.repository import ModelSettings
from gateway.core.tensor import BYTES, ITEM_SIZES
from gateway.wire.oip.model_config import model_config
from gateway.wire.proto import messages

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
