"""Heads that repeat mean and say the same as the first time."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import GatewayError
from gateway.core.request import Provenance, Response
from gateway.core.tensor import Tensor
from gateway.wire.oip import reuse as oip_reuse
from gateway.wire.oip.inference import BINARY_OUTPUTS, PLAIN_OUTPUTS, OutputFormat
from gateway.wire.oip.json import decode_request, encode_response
from gateway.wire.oip.reuse import MAX_REMEMBERED, RequestJsonCache, ResponseJsonCache

EDGE = Provenance("edge")


def sent(*tensors: Tensor, **fields) -> tuple[bytes, int]:
    inputs = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": tensor.shape,
            "parameters": {"binary_data_size": len(tensor.data)},
        }
        for tensor in tensors
    ]
    head = msgspec.json.encode({"inputs": inputs, **fields})
    return b"".join((head, *(tensor.data for tensor in tensors))), len(head)


def tensors(value: int = 0, datatype: str = "INT8") -> list[Tensor]:
    return [Tensor("a", datatype, (2,), bytes([value, 1])), Tensor("b", datatype, (3, 1), bytes([value]) * 3)]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"id": "r-1"},
        {"parameters": {"binary_data_output": True, "priority": 2, "timeout": 5000}},
        {"outputs": [{"name": "y", "parameters": {"binary_data": True, "classification": 2}}]},
    ],
)
def test_second_reading_equals_the_reference(fields):
    """New elements behind a known head are new tensors; all else is as the reference has it."""
    cache = RequestJsonCache()

    for value in (1, 2, 3):
        body, length = sent(*tensors(value), **fields)
        assert cache.decode(body, length) == decode_request(body, length)

    assert repr(cache) == f"<RequestJsonCache {0 if 'id' in fields else 1} of {MAX_REMEMBERED}>"


@pytest.mark.parametrize("extra", [-1, 1])
def test_known_head_before_other_lengths_is_refused(extra):
    """A body of another length than the known head needs gets the reference's words."""
    cache = RequestJsonCache()
    body, length = sent(*tensors())
    cache.decode(body, length)
    wrong = body[:extra] if extra < 0 else body + b"\0" * extra

    with pytest.raises(GatewayError) as refused:
        cache.decode(wrong, length)
    with pytest.raises(GatewayError) as reference:
        decode_request(wrong, length)

    assert refused.value.message == reference.value.message


def test_bytes_are_checked_every_time():
    """Elements that carry their own length cannot be known by the head."""
    cache = RequestJsonCache()
    good = Tensor.from_numpy("t", np.array([b"ab"], object))
    body, length = sent(good)
    cache.decode(body, length)

    with pytest.raises(GatewayError):
        cache.decode(body[:length] + b"\xff" * 6, length)


def test_json_data_is_never_remembered():
    """Elements within the head belong to one request."""
    cache = RequestJsonCache()
    body = msgspec.json.encode({"inputs": [{"name": "a", "datatype": "INT8", "shape": [1], "data": [5]}]})

    assert cache.decode(body, None).inputs[0].data == b"\x05"
    assert cache.decode(body, len(body)).inputs[0].data == b"\x05"
    assert "0 of" in repr(cache)


def test_memory_is_bounded():
    """A flood of heads keeps the newest ones."""
    cache = RequestJsonCache()

    for number in range(MAX_REMEMBERED + 10):
        body, length = sent(Tensor(f"x{number}", "INT8", (1,), b"\0"))
        cache.decode(body, length)

    assert repr(cache) == f"<RequestJsonCache {MAX_REMEMBERED} of {MAX_REMEMBERED}>"


def test_parameters_are_shared_and_cannot_be_changed():
    """What many requests share nobody can write to."""
    cache = RequestJsonCache()
    body, length = sent(*tensors(), parameters={"note": "x"})
    cache.decode(body, length)

    with pytest.raises(TypeError):
        cache.decode(body, length).parameters["note"] = "y"


@given(
    st.lists(st.sampled_from(["INT8", "FP32", "BYTES"]), max_size=3),
    st.sampled_from(
        [BINARY_OUTPUTS, PLAIN_OUTPUTS, OutputFormat(False, {"o0": True}), OutputFormat(True, {"o0": False})]
    ),
    st.sampled_from(["", "r-1", 'a"b\\ö']),
    st.sampled_from([{}, {"cost": 1.5}]),
)
def test_answers_equal_the_reference(datatypes, output_format, request_id, parameters):
    """Whatever is answered, it reads as the reference writes it, the second time as the first."""
    made = {
        "INT8": Tensor("", "INT8", (2,), b"\1\2"),
        "FP32": Tensor("", "FP32", (1,), b"\0" * 4),
        "BYTES": Tensor.from_numpy("", np.array([b"ab"], object)),
    }
    outputs = tuple(
        Tensor(f"o{place}", made[datatype].datatype, made[datatype].shape, made[datatype].data)
        for place, datatype in enumerate(datatypes)
    )
    response = Response("m", "1", outputs, EDGE, parameters)
    cache = ResponseJsonCache()

    for _ in range(2):
        written = cache.encode(response, output_format, request_id)
        reference = encode_response(response, output_format, request_id)
        length = written.header_length
        assert length == reference.header_length or sorted(written.join()) == sorted(reference.join())
        json = msgspec.json.decode(written.join()[:length])
        assert json == msgspec.json.decode(reference.join()[: reference.header_length])
        assert written.parts[1:] == reference.parts[1:]


def test_answers_of_two_sizes_do_not_share_a_head():
    """The head names the size of what follows."""
    cache = ResponseJsonCache()

    for size in (1, 2):
        outputs = (Tensor("o", "BYTES", (1,), b"x" * size),)
        written = cache.encode(Response("m", "1", outputs, EDGE), BINARY_OUTPUTS, "")
        assert b'"binary_data_size":%d' % size in written.join()

    assert repr(cache) == f"<ResponseJsonCache 2 of {MAX_REMEMBERED}>"


def _json(value: float, **more: object) -> bytes:
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [value, 2.5]}
    return msgspec.json.encode({"inputs": [tensor], **more})


def test_bodies_of_json_that_repeat_are_read_once():
    """The same bytes are the same request; other bytes, and requests with ids of their own, are read anew."""
    cache = RequestJsonCache()

    first, again = (cache.decode(_json(1.0, parameters={"p": 1}), None) for _ in range(2))

    assert again.inputs[0] is first.inputs[0]
    assert cache.decode(_json(3.0), None).inputs != first.inputs
    assert dict(again.parameters) == {"p": 1}
    with pytest.raises(TypeError):
        again.parameters["p"] = 2
    named = [cache.decode(_json(1.0, id="a"), None) for _ in range(2)]
    assert named[0].inputs[0] is not named[1].inputs[0]
    assert named[0].inputs == decode_request(_json(1.0), None).inputs


def test_bodies_of_json_are_bounded(monkeypatch):
    """However many different bodies come, only so many bytes are kept, the newest ones."""
    monkeypatch.setattr(oip_reuse, "MAX_BODIES_BYTES", 10_000)
    cache = RequestJsonCache()
    bodies = [_json(float(number)) for number in range(100)]
    read = [cache.decode(body, None) for body in bodies]

    assert cache.decode(bodies[-1], None).inputs[0] is read[-1].inputs[0]
    assert cache.decode(bodies[0], None).inputs[0] is not read[0].inputs[0]
    kept = 0
    for body, inference in zip(reversed(bodies[1:]), reversed(read[1:]), strict=True):
        if cache.decode(body, None).inputs[0] is not inference.inputs[0]:
            break
        kept += 1
    # Each takes more than 1 KiB beside its bytes.
    assert 0 < kept < 10
