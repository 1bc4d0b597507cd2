"""The model under test: found, read, and fed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from gateway.conformance.http_wire import HttpAnswer, HttpRequest, HttpWire, ServerAddress, WireError
from gateway.conformance.subject import FREE_SIZE, CannotTestError, Subject, discover
from gateway.conformance.tensors import DTYPES

TENSOR = {"name": "x", "datatype": "FP32", "shape": [-1, 3]}
MODEL = {"name": "m", "versions": ["1", "2"], "inputs": [TENSOR], "outputs": [{**TENSOR, "name": "y"}]}


class Says(HttpWire):
    """A server whose answers are given: a status, or an object for 200; anything else is 404."""

    def __init__(self, **answers: Any) -> None:
        super().__init__(ServerAddress("nowhere", 1))
        self._answers = answers

    def in_turn(self, *requests: HttpRequest) -> list[HttpAnswer]:
        return [self._answer(request.target.rsplit("/", 1)[-1]) for request in requests]

    def _answer(self, last: str) -> HttpAnswer:
        answer = self._answers.get(last, 404)
        if isinstance(answer, Exception):
            raise answer
        return (
            HttpAnswer(answer)
            if isinstance(answer, int)
            else HttpAnswer(200, (), json.dumps(answer).encode())
        )


def found(name: str = "", **answers: Any) -> Subject:
    return discover(Says(**{"live": 200, **answers}), name, batch=2, seed=1)


def test_named_model_is_read_and_fed() -> None:
    subject = found("m", m=MODEL)
    call = subject.call()

    assert (subject.versions, subject.is_batched) == (("1", "2"), True)
    assert (call.tensors[0].shape, call.tensors[0].values.shape) == ((2, 3), (6,))
    assert np.array_equal(subject.call().tensors[0].values, call.tensors[0].values)
    assert not np.array_equal(subject.call(seed=2).tensors[0].values, call.tensors[0].values)
    assert subject.call(batch=5).tensors[0].shape == (5, 3)


@pytest.mark.parametrize(
    "index",
    [{"index": [{"name": "m"}]}, {"index": 404, "models": {"models": ["m"]}}],
    ids=["index", "KServe's list"],
)
def test_first_model_that_can_be_tested_is_taken(index: dict[str, Any]) -> None:
    assert found(**index, m=MODEL).name == "m"
    assert found(index=[{"name": "odd"}, {"name": "m"}], odd={"inputs": []}, m=MODEL).name == "m"


@pytest.mark.parametrize("datatype", DTYPES)
def test_inputs_can_be_made_up_of_each_datatype(datatype: str) -> None:
    tensor = {"name": "x", "datatype": datatype, "shape": [-1, -1, 2]}
    call = found("m", m={**MODEL, "inputs": [tensor], "outputs": []}).call()

    assert call.tensors[0].shape == (2, FREE_SIZE, 2)
    assert call.tensors[0].values.dtype == DTYPES[datatype]
    assert bool(call.raw_only) == (datatype in {"FP16", "BF16"})


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"live": WireError("cannot connect")}, "cannot connect"),
        ({}, "lists no models; name one with --model NAME"),
        ({"index": [7, {"name": 7}, {}], "models": {"models": 7}}, "lists no models"),
        ({"index": [{"name": "m"}], "m": 500}, "'m': its metadata are answered with status 500"),
        ({"index": [{"name": "m"}], "m": {}}, "name no inputs"),
        ({"index": [{"name": "m"}], "m": {**MODEL, "inputs": "x"}}, "name no inputs"),
        (
            {"index": [{"name": "m"}], "m": {**MODEL, "inputs": [{**TENSOR, "datatype": "FP31"}]}},
            "nothing can be",
        ),
        (
            {"index": [{"name": "m"}], "m": {**MODEL, "inputs": [{**TENSOR, "datatype": []}]}},
            "nothing can be",
        ),
        ({"index": [{"name": "m"}], "m": {**MODEL, "inputs": [{**TENSOR, "shape": [-2]}]}}, "nothing can be"),
        (
            {"index": [{"name": "m"}], "m": {**MODEL, "inputs": [{**TENSOR, "shape": [4096] * 3}]}},
            "more elements",
        ),
        ({"index": [{"name": "m"}], "m": []}, "not an object"),
    ],
)
def test_what_cannot_be_tested_is_said(answers: dict[str, Any], reason: str) -> None:
    with pytest.raises(CannotTestError, match=reason):
        found(**answers)


def test_outputs_that_cannot_be_read_are_left_to_a_check() -> None:
    outputs = [{**TENSOR, "datatype": "FLOAT"}, {**TENSOR, "name": "y"}]

    assert [spec.name for spec in found("m", m={**MODEL, "outputs": outputs}).outputs] == ["y"]
