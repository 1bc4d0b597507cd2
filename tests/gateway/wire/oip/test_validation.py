"""Rules that both codecs share."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import NO_PARAMETERS
from gateway.core.tensor import MAX_RANK
from gateway.wire.headers import MAX_TIMEOUT_S
from gateway.wire.oip.validation import (
    check_names,
    check_shape,
    extract_timeout,
    tensor_parameters,
    timeout_of,
)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a", "b", "a"], "input 'a' already exists in request"),
        ([""], "must have between 1 and 256 characters"),
        (["x" * 257], "must have between 1 and 256 characters"),
    ],
)
def test_names_that_cannot_be_told_apart_are_refused(names, words):
    """A tensor's name is unique, not empty and short enough to be repeated in a message."""
    with pytest.raises(GatewayError, match=words) as caught:
        check_names("input", names)

    assert caught.value.fault is Fault.INVALID
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1,) * (MAX_RANK + 1), "more than 64 dimensions"),
        ((2, -1), "negative dimension"),
        ((0, 1 << 60), "too large a dimension"),
    ],
)
def test_impossible_shapes_are_refused(shape, words):
    """A shape is judged before its dimensions are multiplied."""
    with pytest.raises(GatewayError, match=words) as caught:
        check_shape("input", "x", shape)

    assert caught.value.fault is Fault.INVALID


@pytest.mark.parametrize(
    ("shape", "elements"), [((), 1), ((0, 3), 0), ((2, 3), 6), ((0, 1 << 59), 0), ((1,) * MAX_RANK, 1)]
)
def test_possible_shapes_pass_and_can_be_made(shape, elements):
    """What is let through is what an array can have: as many dimensions as there may be, and as large ones."""
    check_shape("input", "x", shape)

    made = np.empty(shape, np.float64)
    assert (made.shape, made.size) == (shape, elements)


def test_possible_names_pass():
    """The longest name and what is not ours to judge are let through."""
    passed = [
        check_names("input", ["a", "b", "x" * 256]),
        tensor_parameters("output", "x", {"binary_data": True, "classifications": 1}),
    ]

    assert passed == [None, {"classifications": 1}]


def test_reserved_parameters_are_refused():
    """Names that begin with triton_ are not the client's to set."""
    with pytest.raises(GatewayError, match="reserved") as caught:
        extract_timeout({"triton_enable_empty_final_response": True})

    assert caught.value.fault is Fault.INVALID


def test_what_would_be_answered_wrongly_is_refused():
    """Classification and shared memory are refused rather than ignored."""
    with pytest.raises(GatewayError) as classification:
        tensor_parameters("output", "x", {"classification": 1})
    with pytest.raises(GatewayError) as memory:
        tensor_parameters("input", "x", {"shared_memory_region": "r"})

    assert {error.value.fault for error in (classification, memory)} == {Fault.UNSUPPORTED}


def test_what_says_how_a_tensor_travels_goes_no_further():
    """Nor what is null, or of a type that a parameter cannot have."""
    carried = {
        "binary_data_size": 4,
        "binary_data": True,
        "shared_memory_offset": 0,
        "shared_memory_byte_size": 4,
    }
    strange = {"nothing": None, "shared_memory_region": None, "headers": {"a": "b"}, "list": [1]}

    kept = tensor_parameters("input", "x", {**carried, **strange, "content_type": "np", "flag": False})

    assert kept == {"content_type": "np", "flag": False}
    assert tensor_parameters("input", "x", carried) is NO_PARAMETERS


@pytest.mark.parametrize(
    "parameters",
    [
        {f"p{number}": number for number in range(65)},
        {"text": "x" * (64 << 10)},
        {"x" * (64 << 10): "y"},
        {f"p{number}": "x" * 8000 for number in range(9)},
    ],
)
def test_parameters_of_a_tensor_are_bounded(parameters):
    """In number and in size; keys and caches hold them."""
    with pytest.raises(GatewayError, match="more than 64 parameters, or 65536 characters") as caught:
        tensor_parameters("input", "x", parameters)

    assert caught.value.fault is Fault.INVALID


@pytest.mark.parametrize("number", [1, (1 << 64) - 1, "a3f0-42"])
def test_sequences_stay_with_the_request(number):
    """A model behind another server may have state: what is said of a sequence goes on to it."""
    value = {"sequence_id": number, "sequence_start": True, "sequence_end": False}
    parameters = {**value, "timeout": 1_000_000, "priority": 1, "tritonic": True}

    assert extract_timeout(parameters) == 1.0
    assert parameters == {**value, "priority": 1, "tritonic": True}


@pytest.mark.parametrize("value", [{"sequence_id": 0}, {"sequence_id": ""}, {}])
def test_no_sequence_leaves_nothing(value):
    """0 and no text are the ids of no sequence, whatever else is said of it."""
    parameters = {**value, "sequence_start": True, "sequence_end": True}

    extract_timeout(parameters)

    assert parameters == {}


@pytest.mark.parametrize(
    "value",
    [
        {"sequence_id": -1},
        {"sequence_id": True},
        {"sequence_id": 1.5},
        {"sequence_id": 1 << 64},
        {"sequence_id": 1, "sequence_start": "yes"},
        {"sequence_end": 1},
    ],
    ids=str,
)
def test_sequences_that_are_none_are_refused(value):
    """An id is a number of 64 bits or a text, start and end are true or false."""
    with pytest.raises(GatewayError, match="sequence_") as caught:
        extract_timeout(value)

    assert caught.value.fault is Fault.INVALID


@pytest.mark.parametrize(
    ("parameters", "seconds"),
    [
        ({}, math.inf),
        ({"timeout": 0}, math.inf),
        ({"timeout": 250_000}, 0.25),
        ({"timeout": "250000"}, 0.25),
        ({"timeout": 1 << 62}, MAX_TIMEOUT_S),
        ({"timeout": "9" * 5000}, MAX_TIMEOUT_S),
    ],
)
def test_timeout_is_in_microseconds(parameters, seconds):
    """The parameter is microseconds, 0 is none, and nobody waits longer than a day."""
    assert timeout_of(parameters) == seconds


@pytest.mark.parametrize("value", [-1, 1.5, True, "soon", "", "-3"])
def test_timeout_that_is_no_duration_is_refused(value):
    """Anything but a whole number of microseconds is the client's mistake."""
    with pytest.raises(GatewayError, match="microseconds") as caught:
        timeout_of({"timeout": value})

    assert caught.value.fault is Fault.INVALID
