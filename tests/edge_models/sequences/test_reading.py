"""`sequence_batching` is read as Triton means it, and what cannot be obeyed is refused in words."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from edge_models.errors import ModelError
from edge_models.sequences.reading import read_sequence_settings
from gateway.core.catalog import TensorSpec
from tests.edge_models.sequences.models import batching

INPUTS = (
    TensorSpec("x", "FP32", (-1, 4)),
    TensorSpec("flag", "INT32", (-1, 1)),
    TensorSpec("share", "FP32", (-1, 1)),
    TensorSpec("bit", "BOOL", (1,)),
    TensorSpec("id", "UINT64", (-1, 1)),
    TensorSpec("name", "BYTES", (-1, 1)),
    TensorSpec("h_in", "FP32", (-1, 2, 3)),
    TensorSpec("free_in", "INT64", (-1, -1)),
    TensorSpec("text_in", "BYTES", (-1, 2)),
)
OUTPUTS = (
    TensorSpec("h_out", "FP32", (-1, 2, 3)),
    TensorSpec("free_out", "INT64", (-1, -1)),
    TensorSpec("text_out", "BYTES", (-1, 2)),
    TensorSpec("y", "FP32", (-1, 1)),
)
FILES = {
    "h.bin": np.arange(6, dtype=np.float32).tobytes(),
    "short.bin": b"123",
    "texts.bin": struct.pack("<I", 1) + b"a" + struct.pack("<I", 0),
    "cut.bin": struct.pack("<I", 9) + b"a",
}


def read(text: str, max_batch_size: int = 8) -> Any:
    return read_sequence_settings(
        batching(text),
        INPUTS,
        OUTPUTS,
        max_batch_size=max_batch_size,
        read_file=lambda name, _limit: FILES[name],
    )


def control(name: str, kind: str, more: str) -> str:
    return f'control_input {{ name: "{name}" control {{ kind: CONTROL_SEQUENCE_{kind} {more} }} }} '


def state(more: str = "", *, name: str = "h", kind: str = "TYPE_FP32", dims: str = "[2, 3]") -> str:
    return f'state {{ input_name: "{name}_in" output_name: "{name}_out" data_type: {kind} dims: {dims} {more} }} '


def initial(more: str, *, name: str = "s", kind: str = "TYPE_FP32", dims: str = "[2, 3]") -> str:
    return f'initial_state {{ name: "{name}" data_type: {kind} dims: {dims} {more} }}'


def test_defaults_are_tritons():
    """A second of idleness, as many candidates as come, no wait."""
    settings = read("")

    assert (settings.idle_s, settings.max_candidate_sequences) == (1.0, 0)
    assert (settings.preferred_batch_size, settings.max_queue_delay_microseconds) == ((), 0)
    assert settings.hidden_inputs() == settings.state_outputs() == frozenset()


def test_controls_have_the_values_and_the_shape_of_the_graph():
    """Whole numbers, floats and booleans; false first."""
    settings = read(
        control("flag", "START", "int32_false_true: [-1, 2]")
        + control("share", "END", "fp32_false_true: [0.5, 1.5]")
        + control("bit", "READY", "bool_false_true: [true, false]")
        + control("id", "CORRID", "data_type: TYPE_UINT64")
    )

    assert (settings.start.false.tolist(), settings.start.true.tolist()) == ([[-1]], [[2]])
    assert (settings.end.false.tolist(), settings.end.true.tolist()) == ([[0.5]], [[1.5]])
    assert (settings.ready.false.tolist(), settings.ready.true.tolist()) == ([True], [False])
    assert (settings.correlation.name, settings.correlation.shape) == ("id", (1, 1))
    assert settings.hidden_inputs() == {"flag", "share", "bit", "id"}


def test_a_text_may_be_the_id():
    """CORRID of TYPE_STRING."""
    settings = read(control("name", "CORRID", "data_type: TYPE_STRING"))

    assert settings.correlation.datatype == "BYTES"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (state(), np.zeros((1, 2, 3), np.float32)),
        (state(initial("zero_data: true")), np.zeros((1, 2, 3), np.float32)),
        (state(initial('data_file: "h.bin"')), np.arange(6, dtype=np.float32).reshape(1, 2, 3)),
        (state(name="free", kind="TYPE_INT64", dims="[-1]"), np.zeros((1, 1), np.int64)),
        (
            state(
                initial("zero_data: true", kind="TYPE_INT64", dims="[5]"),
                name="free",
                kind="TYPE_INT64",
                dims="[-1]",
            ),
            np.zeros((1, 5), np.int64),
        ),
        (state(name="text", kind="TYPE_STRING", dims="[2]"), np.array([[b"", b""]], object)),
        (
            state(
                initial('data_file: "texts.bin"', kind="TYPE_STRING", dims="[2]"),
                name="text",
                kind="TYPE_STRING",
                dims="[2]",
            ),
            np.array([[b"a", b""]], object),
        ),
    ],
)
def test_a_state_begins_as_it_is_ordered(text, expected):
    """Zeros, or the content of a file; one of any size begins with 1."""
    found = read(text).states[0]

    assert found.initial.dtype == expected.dtype
    assert found.initial.tolist() == expected.tolist()
    assert not found.initial.flags.writeable


def test_a_state_is_hidden():
    """Its input and its output."""
    settings = read(state())

    assert (settings.hidden_inputs(), settings.state_outputs()) == ({"h_in"}, {"h_out"})


@pytest.mark.parametrize(
    ("text", "preferred", "delay", "candidates"),
    [
        ("direct { max_queue_delay_microseconds: 100 }", tuple(range(1, 9)), 100, 0),
        (
            "direct { max_queue_delay_microseconds: 100 minimum_slot_utilization: 0.6 }",
            (5, 6, 7, 8),
            100,
            0,
        ),
        ("direct { minimum_slot_utilization: 0.6 }", (), 0, 0),
        (
            (
                "oldest { max_candidate_sequences: 4 preferred_batch_size: [2, 4] "
                "max_queue_delay_microseconds: 7 }"
            ),
            (2, 4),
            7,
            4,
        ),
    ],
)
def test_strategies_say_what_makes_a_batch(text, preferred, delay, candidates):
    """`direct` waits until so many slots have a step, `oldest` for a preferred size."""
    settings = read(text)

    assert settings.preferred_batch_size == preferred
    assert settings.max_queue_delay_microseconds == delay
    assert settings.max_candidate_sequences == candidates


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("iterative_sequence: true", "iterative_sequence is not supported"),
        (control("nix", "START", "int32_false_true: [0, 1]"), "'nix' is not an input of the model"),
        (control("", "START", "int32_false_true: [0, 1]"), "control_input 0 must have a name"),
        ('control_input { name: "flag" }', "'flag' must have one control"),
        (control("flag", "START", ""), "START must have two values of one of"),
        (control("flag", "START", "int32_false_true: [0]"), "START must have two values of one of"),
        (
            control("flag", "START", "int32_false_true: [0, 1] fp32_false_true: [0, 1]"),
            "START must have two values of one of",
        ),
        (control("flag", "START", "fp32_false_true: [0, 1]"), "is FP32, and 'flag' of the model is INT32"),
        (
            control("x", "START", "fp32_false_true: [0, 1]"),
            "must take one value for each row, and takes [-1, 4]",
        ),
        (
            control("flag", "START", "int32_false_true: [0, 1]")
            + control("share", "START", "fp32_false_true: [0, 1]"),
            "more than one control START",
        ),
        (
            control("flag", "START", "int32_false_true: [0, 1]")
            + control("flag", "END", "int32_false_true: [0, 1]"),
            "names the input 'flag' more than once",
        ),
        (control("id", "CORRID", ""), "data_type of CORRID must be"),
        (control("share", "CORRID", "data_type: TYPE_FP32"), "data_type of CORRID must be"),
        (control("id", "CORRID", "data_type: TYPE_INT64"), "is INT64, and 'id' of the model is UINT64"),
        (
            control("id", "CORRID", "data_type: TYPE_UINT64")
            + control("name", "CORRID", "data_type: TYPE_STRING"),
            "more than one control CORRID",
        ),
        (state(name="nix"), "the model has no input 'nix_in'"),
        ('state { input_name: "h_in" output_name: "z" }', "the model has no output 'z'"),
        (state(kind="TYPE_FP16"), "is FP16, and 'h_in' of the model is FP32"),
        (state(dims="[2, 4]"), "has dims [2, 4], and 'h_in' of the model [-1, 2, 3]"),
        (state(dims="[3]"), "has dims [3], and 'h_in' of the model [-1, 2, 3]"),
        (state() + state(), "names the output 'h_out' more than once"),
        (state("use_growable_memory: true"), "use_growable_memory works with KIND_GPU only"),
        (state(initial("zero_data: true") * 2), "must have one initial_state, or none"),
        (state(initial("zero_data: true", name="")), "initial_state must have a name"),
        (state(initial("zero_data: true", kind="TYPE_FP64")), "data_type of initial_state is not that of"),
        (state(initial("zero_data: true", dims="[2]")), "initial_state has dims [2], and the state [2, 3]"),
        (state(initial("zero_data: true", dims="[2, -1]")), "initial_state has dims [2, -1]"),
        (state(initial("")), "initial_state must have zero_data or data_file"),
        (state(initial('data_file: "../h.bin"')), "data_file must name a file of the folder"),
        (state(initial('data_file: ".."')), "data_file must name a file of the folder"),
        (state(initial('data_file: "short.bin"')), "has 3 bytes, and 24 are wanted"),
        (
            state(
                initial("zero_data: true", kind="TYPE_INT64", dims="[999999999]"),
                name="free",
                kind="TYPE_INT64",
                dims="[-1]",
            ),
            "has more than 1024 MiB",
        ),
        (
            state(
                initial('data_file: "cut.bin"', kind="TYPE_STRING", dims="[2]"),
                name="text",
                kind="TYPE_STRING",
                dims="[2]",
            ),
            "its data_file ends within a text",
        ),
        (
            state(
                initial('data_file: "short.bin"', kind="TYPE_STRING", dims="[2]"),
                name="text",
                kind="TYPE_STRING",
                dims="[2]",
            ),
            "its data_file ends before its texts do",
        ),
        (
            "oldest { preferred_batch_size: [9] }",
            "preferred_batch_size 9 must be from 1 to max_batch_size, 8",
        ),
        ("oldest { preferred_batch_size: [0] }", "preferred_batch_size 0 must be from 1"),
        (
            "direct { max_queue_delay_microseconds: 1 minimum_slot_utilization: nan }",
            "minimum_slot_utilization must be from 0 to 1",
        ),
        (
            "direct { max_queue_delay_microseconds: 1 minimum_slot_utilization: inf }",
            "minimum_slot_utilization must be from 0 to 1",
        ),
        ('control_input { name: "flag" control { kind: 99 } }', "there is no control of the kind 99"),
        (state(kind="99"), "is 99, and 'h_in' of the model is FP32"),
        (state(initial('data_file: "a\\0b"')), "data_file must name a file of the folder"),
        ("oldest { max_candidate_sequences: -1 }", "max_candidate_sequences must be at least 0"),
    ],
)
def test_what_cannot_be_obeyed_is_refused(text, message):
    """In a sentence that begins with the field."""
    with pytest.raises(ModelError) as caught:
        read(text)

    assert message in str(caught.value)
    assert str(caught.value).startswith("sequence_batching")
