"""What is not obeyed is named, with its line; what is obeyed is not."""

from __future__ import annotations

import pytest

from edge_models.configuration.reading import parse_json, parse_text
from edge_models.configuration.remarks import remarks


def found(text: str) -> list[str]:
    return [f"{each.severity} {each}" for each in remarks(parse_text(text.encode()))]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        (
            "\nensemble_scheduling { step { model_name: 'a' } }",
            "error config.pbtxt:2: ensemble_scheduling is not",
        ),
        ("batch_input { kind: BATCH_ELEMENT_COUNT }", "error config.pbtxt:1: batch_input is not supported"),
        ("batch_output { target_name: 'y' }", "error config.pbtxt:1: batch_output is not supported"),
        ("cc_model_filenames { key: '7.5' value: 'a' }", "error config.pbtxt:1: cc_model_filenames is not"),
        ("model_operations { op_library_filename: 'a.so' }", "error config.pbtxt:1: model_operations is not"),
        ("model_repository_agents { }", "error config.pbtxt:1: model_repository_agents is not supported"),
        (
            "\n\nmodel_transaction_policy {\n decoupled: true }",
            "error config.pbtxt:4: model_transaction_policy.dec",
        ),
        (
            "input { name: 'a' }\ninput {\n is_shape_tensor: true }",
            "error config.pbtxt:3: is_shape_tensor is not",
        ),
        ("input {\n allow_ragged_batch: true }", "error config.pbtxt:2: allow_ragged_batch is not supported"),
        ("output {\n is_shape_tensor: true }", "error config.pbtxt:2: is_shape_tensor is not supported"),
        ("instance_group {\n passive: true }", "error config.pbtxt:2: passive is not supported"),
        ("instance_group [ { }, {\n gpus: [ 1 ] } ]", "warning config.pbtxt:2: gpus is not obeyed"),
        (
            "instance_group { rate_limiter { priority: 1 } }",
            "warning config.pbtxt:1: rate_limiter is not obeyed",
        ),
        ("instance_group { host_policy: 'a' }", "warning config.pbtxt:1: host_policy is not obeyed"),
        ("metric_tags { key: 'a' value: 'b' }", "warning config.pbtxt:1: metric_tags is not obeyed"),
        ("optimization {\n cuda { graphs: true } }", "warning config.pbtxt:2: cuda is not obeyed"),
        ("optimization {\n eager_batching: true }", "warning config.pbtxt:2: eager_batching is not obeyed"),
        ("optimization {\n graph {\n level: 7 } }", "warning config.pbtxt:3: level is not obeyed"),
        (
            "optimization { execution_accelerators {\n gpu_execution_accelerator [ { name: 'tensorrt' } ] } }",
            "warning config.pbtxt:2: gpu_execution_accelerator 'tensorrt' is not used",
        ),
        (
            "parameters { key: 'a' value { } }\nparameters { key: 'enable_mem_arena' value { string_value: '0' } }",
            "warning config.pbtxt:1: parameter 'a' is not obeyed",
        ),
    ],
)
def test_what_is_not_obeyed(text, start):
    assert found(text)[0].startswith(start)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name: 'a' backend: 'onnxruntime' max_batch_size: 8 version_policy { all { } }",
        "input { name: 'x' dims: 1 is_shape_tensor: false format: FORMAT_NCHW optional: true }",
        "instance_group { count: 2 kind: KIND_CPU } optimization { graph { level: 1 } }",
        "optimization { execution_accelerators { gpu_execution_accelerator { name: 'cuda' } } }",
        "parameters { key: 'intra_op_thread_count' value { string_value: '2' } }",
        "model_transaction_policy { decoupled: false }",
        "model_warmup { name: 'a' } dynamic_batching { priority_levels: 2 }",
    ],
)
def test_what_is_obeyed(text):
    assert found(text) == []


def test_both_parameters_are_named():
    assert len(found("parameters { key: 'b' value { } } parameters { key: 'a' value { } }")) == 2


def test_an_order_has_no_lines():
    (remark,) = remarks(parse_json('{"metric_tags": {"a": "b"}}'))
    assert str(remark).startswith("config: metric_tags is not obeyed")
