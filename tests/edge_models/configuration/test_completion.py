"""What a configuration leaves to the graph, and where the two contradict each other."""

from __future__ import annotations

import pytest

from edge_models.configuration.completion import GraphSignature, complete, disagreements, specs_of
from edge_models.configuration.model_configuration import (
    ConfiguredBatching,
    ConfiguredInput,
    ConfiguredOutput,
)
from edge_models.configuration.reading import parse_text
from gateway.core.catalog import TensorSpec

ROWS = GraphSignature(
    (TensorSpec("x", "FP32", (-1, 4)),),
    (TensorSpec("y", "FP32", (-1, 3)), TensorSpec("label", "INT64", (-1,))),
)
FIXED = GraphSignature(
    (TensorSpec("x", "BYTES", (2, -1)),), (TensorSpec("y", "FP32", ()),), (TensorSpec("z", "FP32", (1,)),)
)

X = "input { name: 'x' data_type: TYPE_FP32 dims: [ 4 ] }\n"
Y = "output { name: 'y' data_type: TYPE_FP32 dims: [ 3 ] }\n"


def completed(text: str, graph: GraphSignature = ROWS):
    return complete(parse_text(text.encode()), graph, 64)


def contradictions(text: str, graph: GraphSignature = ROWS) -> list[str]:
    return [str(each) for each in disagreements(completed(text, graph), graph, "m")]


def test_an_empty_configuration_is_the_graphs():
    config = completed("")
    assert config.max_batch_size == 64
    assert config.dynamic_batching == ConfiguredBatching()
    assert config.inputs == (ConfiguredInput("x", "FP32", (4,)),)
    assert config.outputs == (ConfiguredOutput("y", "FP32", (3,)), ConfiguredOutput("label", "INT64", ()))
    assert specs_of(config.inputs, is_batched=True) == ROWS.inputs
    assert specs_of(config.outputs, is_batched=True) == ROWS.outputs
    assert contradictions("") == []


def test_what_is_said_is_kept():
    config = completed(f"max_batch_size: 1 {Y}")
    assert (config.max_batch_size, config.dynamic_batching) == (1, None)
    assert [each.name for each in config.outputs] == ["y"]
    config = completed("max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: 7 }")
    assert config.dynamic_batching == ConfiguredBatching(max_queue_delay_microseconds=7)
    config = completed("sequence_batching { }")
    assert config.dynamic_batching is None


def test_with_all_tensors_declared_nothing_is_completed():
    text = "input { name: 'x' data_type: TYPE_FP32 dims: [ -1, 4 ] } output { name: 'y' data_type: TYPE_FP32 dims: [ -1, 3 ] }"
    config = completed(text)
    assert (config.max_batch_size, config.dynamic_batching) == (0, None)
    assert contradictions(text) == []
    assert specs_of(config.outputs, is_batched=False) == ROWS.outputs[:1]


def test_a_graph_without_a_batch_has_none():
    config = completed("", FIXED)
    assert (config.max_batch_size, config.dynamic_batching) == (0, None)
    assert config.inputs == (ConfiguredInput("x", "BYTES", (2, -1)),)
    assert contradictions("", FIXED) == []


def test_control_inputs_and_states_are_not_the_clients():
    graph = GraphSignature(
        (*ROWS.inputs, TensorSpec("START", "FP32", (-1, 1)), TensorSpec("s", "FP32", (-1, 2))), ROWS.outputs
    )
    text = (
        "sequence_batching { control_input { name: 'START' } state { input_name: 's' output_name: 'label' } }"
    )
    config = completed(text, graph)
    assert [each.name for each in config.inputs] == ["x"]
    assert [each.name for each in config.outputs] == ["y"]
    assert contradictions(text, graph) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\nmax_batch_size: -1", "config.pbtxt:2: 'max_batch_size' must be non-negative value for m"),
        (
            f"max_batch_size: 8\n{X}output {{ name: 'z' data_type: TYPE_FP32 dims: 3 }}",
            "config.pbtxt:3: unexpected inference output 'z', allowed outputs are: y, label",
        ),
        (
            f"max_batch_size: 8 {Y}input {{ name: 'w' data_type: TYPE_FP32 dims: 4 }}",
            "config.pbtxt:2: unexpected inference input 'w', allowed inputs are: x",
        ),
        (
            f"max_batch_size: 8 {X}{X}{Y}",
            "config.pbtxt:2: model input 'x' is declared twice",
        ),
        (
            f"max_batch_size: 8\n{Y}{X}input {{ name: 'w' data_type: TYPE_FP32 dims: 4 }}",
            "config.pbtxt:3: configuration expects 2 inputs, model provides 1",
        ),
        (
            f"max_batch_size: 8\n{Y}input {{ name: 'x'\n data_type: TYPE_INT64 dims: 4 }}",
            "config.pbtxt:4: configuration expects datatype TYPE_INT64 for input 'x', model provides TYPE_FP32",
        ),
        (
            f"max_batch_size: 8\n{Y}input {{ name: 'x' dims: 4 }}",
            "config.pbtxt:3: model input must specify 'data_type': TYPE_FP32",
        ),
        (f"max_batch_size: 8\n{Y}input {{ dims: 4 }}", "config.pbtxt:3: model input must specify 'name'"),
        (
            f"max_batch_size: 8\n{Y}input {{ name: 'x' data_type: TYPE_FP32\n dims: [ 4, 1 ] }}",
            "config.pbtxt:4: tensor 'x': the model expects 2 dimensions (shape [-1, 4]) but the model configurat",
        ),
        (
            f"max_batch_size: 8\n{Y}input {{ name: 'x' data_type: TYPE_FP32\n dims: 5 }}",
            "config.pbtxt:4: tensor 'x': the model expects shape [-1, 4] but the model configuration specifies ",
        ),
        (
            f"max_batch_size: 8\n{Y}input {{ name: 'x' data_type: TYPE_FP32\n dims: -1 }}",
            "config.pbtxt:4: tensor 'x': the model expects shape [-1, 4]",
        ),
        (
            f"max_batch_size: 8\n{Y}input {{ name: 'x' data_type: TYPE_FP32\n dims: 0 }}",
            "config.pbtxt:4: tensor 'x': dimensions must be integers >= 1, or -1",
        ),
        (
            f"max_batch_size: 8\n{Y}input {{ name: 'x' data_type: TYPE_FP32 }}",
            "config.pbtxt:3: tensor 'x' must specify 'dims': the model has [-1, 4]",
        ),
        (
            f"max_batch_size: 8\n{Y}input {{ name: 'x' data_type: TYPE_FP32 dims: 4\n format: FORMAT_NHWC }}",
            "config.pbtxt:4: model input NHWC/NCHW require 3 dims",
        ),
        (
            f"max_batch_size: 8\n{Y}input {{ name: 'x' data_type: TYPE_FP32 dims: 4\n optional: true }}",
            "config.pbtxt:4: optional input 'x' is not supported for models that support batching",
        ),
        (
            f"max_batch_size: 8\n{Y}input {{ name: 'x' data_type: TYPE_FP32 dims: 4\n format: 9 }}",
            "config.pbtxt:4: format '9' is not one of FORMAT_NONE, FORMAT_NHWC, FORMAT_NCHW",
        ),
        (
            f"{X}{Y}\ndynamic_batching {{\n preferred_batch_size: 4 }}",
            "config.pbtxt:5: preferred_batch_size must not exceed max_batch_size, which is 0",
        ),
        (
            f"{Y}input {{ name: 'x' data_type: TYPE_FP32 dims: [ -1, 4 ]\n optional: true }}",
            "config.pbtxt:3: optional input 'x' has no default value in the model",
        ),
        (
            f"{X}{Y}\ndynamic_batching {{ }}",
            "config.pbtxt:4: dynamic_batching joins no requests: max_batch_size is 0",
        ),
        (
            f"{X}{Y}",
            "config.pbtxt:1: tensor 'x': the model expects 2 dimensions (shape [-1, 4]) but the model configurat",
        ),
    ],
)
def test_contradictions_are_named_with_their_line(text, words):
    assert any(each.startswith(words) for each in contradictions(text)), contradictions(text)


def test_a_batch_that_the_graph_does_not_have():
    (words, *_) = contradictions("\nmax_batch_size: 8", FIXED)
    assert words.startswith(
        "config.pbtxt:2: tensor 'x': for the model to support batching the shape should have at"
    )


@pytest.mark.parametrize(
    "text",
    [
        f"max_batch_size: 8 {X}{Y}",
        f"max_batch_size: 8 {Y}input {{ name: 'x' data_type: TYPE_FP32 dims: [ 2, 2 ] reshape {{ shape: 4 }} }}",
        f"max_batch_size: 8 {X}output {{ name: 'label' data_type: TYPE_INT64 dims: 1 reshape {{ }} }}",
    ],
)
def test_what_agrees(text):
    assert contradictions(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "output { name: 'y' data_type: TYPE_FP32 dims: 1 }",
        "input { name: 'x' data_type: TYPE_STRING dims: [ 2, 7 ] }",
        "input { name: 'x' data_type: TYPE_STRING dims: [ 2, -1 ] } input { name: 'z' data_type: TYPE_FP32 dims: 1 optional: true }",
    ],
)
def test_what_agrees_without_a_batch(text):
    assert contradictions(text, FIXED) == []
