"""One inference request in three forms, and answers read back, whatever they are."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from gateway.conformance import messages
from gateway.conformance.call import (
    HEADER_LENGTH,
    Call,
    Wanted,
    model_path,
    read_http,
    read_message,
)
from gateway.conformance.http_wire import HttpAnswer
from gateway.conformance.tensors import SuiteTensor
from gateway.conformance.verdicts import NotApplicable, Violation

ONE = SuiteTensor("x", "INT32", (1, 2), np.array([1, 2], np.int32))
TWO = SuiteTensor("y", "BYTES", (1,), np.array([b"\xc3\xa4"], object))
CALL = Call("m", (ONE, TWO), id="7", outputs=(Wanted("z", {"binary_data": True}),), parameters={"p": 1})


def test_three_forms_of_the_same_request() -> None:
    as_json = json.loads(CALL.as_json(nested=True))
    body, length = CALL.as_binary()
    head = json.loads(body[:length])
    message = CALL.as_message()

    assert as_json["inputs"][0] == {"name": "x", "shape": [1, 2], "datatype": "INT32", "data": [[1, 2]]}
    assert as_json["outputs"] == [{"name": "z", "parameters": {"binary_data": True}}]
    assert [entry["parameters"]["binary_data_size"] for entry in head["inputs"]] == [8, 6]
    assert body[length:] == b"\1\0\0\0\2\0\0\0" + b"\2\0\0\0\xc3\xa4"
    assert list(message.raw_input_contents) == [body[length : length + 8], body[length + 8 :]]
    assert list(CALL.as_message(typed=True).inputs[0].contents.int_contents) == [1, 2]
    assert message.parameters["p"].int64_param == 1


def test_call_that_json_has_no_word_for_is_not_applicable() -> None:
    half = Call("m", (ONE,), raw_only=("h",))

    for form in (half.as_json, lambda: half.as_message(typed=True)):
        with pytest.raises(NotApplicable, match="'h' has a datatype"):
            form()
    assert half.as_binary()


def test_names_are_quoted_in_paths() -> None:
    assert model_path("a/b c", "1?", "infer") == "/v2/models/a%2Fb%20c/versions/1%3F/infer"


def answer(body: dict[str, Any], tail: bytes = b"", *, length: str | None = None) -> HttpAnswer:
    head = json.dumps(body).encode()
    headers = ((HEADER_LENGTH, str(len(head)) if length is None else length),)
    return HttpAnswer(200, headers if tail or length else (), head + tail)


def output(**changes: Any) -> dict[str, Any]:
    return {"name": "z", "datatype": "INT16", "shape": [2], **changes}


def test_answers_with_json_and_binary_outputs_side_by_side() -> None:
    listed = [output(parameters={"binary_data_size": 4}), output(name="j", data=[3, 4])]
    reply = read_http(answer({"model_name": "m", "id": "7", "outputs": listed}, b"\1\0\2\0"))

    assert (reply.model, reply.version, reply.id, reply.binary) == ("m", "", "7", ("z",))
    assert reply.by_name["z"].values.tolist() == [1, 2]
    assert reply.by_name["j"].values.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (answer({"outputs": [output(parameters={"binary_data_size": 5})]}, b"\1\0\2\0"), "not so many"),
        (answer({"outputs": [output(parameters={"binary_data_size": 2})]}, b"\1\0\2\0"), "has 2 bytes"),
        (answer({"outputs": [output(data=[1, 2])]}, b"tail"), "4 bytes are left over"),
        (answer({"outputs": []}, length="99"), "is '99'"),
        (answer({"outputs": []}, length="+5"), "is '\\+5'"),
        (answer({"outputs": {}}), "no list 'outputs'"),
        (HttpAnswer(200, (), b"[]"), "not a JSON object"),
        (HttpAnswer(200, (), b"{"), "not JSON"),
        (HttpAnswer(200, (), b"[" * 100_000), "not JSON"),
    ],
)
def test_answers_that_are_none_are_findings(wrong: HttpAnswer, reason: str) -> None:
    with pytest.raises(Violation, match=reason):
        read_http(wrong)


@given(st.binary(max_size=60), st.none() | st.integers(-2, 70) | st.text(max_size=3))
def test_no_bytes_make_reading_an_http_answer_fail_otherwise(body: bytes, length: Any) -> None:
    headers = () if length is None else ((HEADER_LENGTH, str(length)),)
    with pytest.raises(Violation):
        read_http(HttpAnswer(200, headers, body))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from(["", "INT8", "BYTES", "binary_data_size"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "datatype", "shape", "data", "parameters", "binary_data_size"]), inner
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=3), st.binary(max_size=8))
def test_no_outputs_make_reading_an_http_answer_fail_otherwise(listed: list[Any], tail: bytes) -> None:
    try:
        reply = read_http(answer({"outputs": listed}, tail))
    except Violation:
        return
    assert len(reply.outputs) == len(listed)


@given(st.binary(max_size=80))
def test_no_message_makes_reading_fail_otherwise(raw: bytes) -> None:
    try:
        message = messages.ModelInferResponse.FromString(raw)
    except DecodeError:
        return
    try:
        assert len(read_message(message).outputs) == len(message.outputs)
    except Violation:
        return


def test_raw_and_typed_contents_together_are_a_finding() -> None:
    message = messages.ModelInferResponse(raw_output_contents=[b"\1"])
    entry = message.outputs.add(name="z", datatype="INT8", shape=[1])
    assert read_message(message).by_name["z"].values.tolist() == [1]

    entry.contents.int_contents.append(1)

    with pytest.raises(Violation, match="contents beside"):
        read_message(message)
