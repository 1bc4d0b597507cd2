"""Parameters of Triton's backend as ONNX Runtime gets them."""

from __future__ import annotations

import pytest

from edge_models.configuration.reading import parse_text
from edge_models.configuration.session_parameters import SessionParameters, session_parameters
from edge_models.errors import ModelError


def of(**parameters: str) -> SessionParameters:
    entries = [
        f"parameters {{ key: '{name}' value {{ string_value: '{value}' }} }}"
        for name, value in parameters.items()
    ]
    return session_parameters(parse_text("\n".join(entries).encode()))


def test_what_is_ordered():
    assert session_parameters(None) == of() == of(unknown="x") == SessionParameters()
    assert of(execution_mode="1", intra_op_thread_count="3", inter_op_thread_count="2") == SessionParameters(
        is_parallel=True, intra_op_threads=3, inter_op_threads=2
    )
    assert of(enable_mem_pattern="False") == SessionParameters(mem_pattern=False)


@pytest.mark.parametrize(
    ("level", "graph"), [(-1, "basic"), (0, "all"), (1, "extended"), (2, "none"), (9, "all")]
)
def test_graph_levels(level, graph):
    config = parse_text(f"optimization {{ graph {{ level: {level} }} }}".encode())
    assert session_parameters(config).graph == graph


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("execution_mode", "2"),
        ("execution_mode", ""),
        ("intra_op_thread_count", "-1"),
        ("intra_op_thread_count", "257"),
        ("intra_op_thread_count", "9" * 5000),
        ("inter_op_thread_count", "two"),
        ("inter_op_thread_count", "²"),
        ("enable_mem_pattern", "yes"),
    ],
)
def test_values_that_they_may_not_have(name, value):
    with pytest.raises(ModelError, match=rf"^config\.pbtxt:1: parameter '{name}' must be from 0 to"):
        of(**{name: value})
