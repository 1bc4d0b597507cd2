"""What clients are told of a configuration."""

from __future__ import annotations

from edge_models.configuration.completed_message import completed_message
from edge_models.configuration.completion import GraphSignature, complete
from edge_models.configuration.reading import parse_text
from gateway.core.catalog import TensorSpec

GRAPH = GraphSignature((TensorSpec("x", "BYTES", (-1, 4)),), (TensorSpec("y", "FP32", (-1, 3)),))


def completed_for(text: str):
    config = complete(parse_text(text.encode()), GRAPH, 64)
    return completed_message(config, "m"), config


def test_what_is_left_out_is_told_as_it_is_served():
    message, config = completed_for("metric_tags { key: 'a' value: 'b' }")

    assert (message.name, message.backend, message.platform) == ("m", "onnxruntime", "onnxruntime_onnx")
    assert (message.max_batch_size, message.default_model_filename) == (64, "model.onnx")
    assert message.version_policy.latest.num_versions == 1
    assert message.HasField("dynamic_batching")
    assert (message.input[0].name, list(message.input[0].dims), message.input[0].data_type) == ("x", [4], 13)
    assert (message.output[0].name, list(message.output[0].dims), message.output[0].data_type) == (
        "y",
        [3],
        11,
    )
    assert message.metric_tags == {"a": "b"}
    assert not config.message.input


def test_what_the_file_says_is_told_as_it_stands():
    message, _ = completed_for(
        "version_policy { all { } } default_model_filename: 'n' max_batch_size: 2 sequence_batching { }"
        "input { name: 'x' data_type: TYPE_STRING dims: [ 2, 2 ] reshape { shape: 4 } }"
    )
    assert message.version_policy.HasField("all")
    assert (message.default_model_filename, message.max_batch_size) == ("n", 2)
    assert list(message.input[0].reshape.shape) == [4]
    assert not message.HasField("dynamic_batching")
