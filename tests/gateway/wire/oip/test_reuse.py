"""Heads that repeat mean and say the same as the first time."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.core.errors import GatewayError
from gateway.core.partitions import Partition
from gateway.core.request import Provenance, Response
from gateway.core.tensor import Tensor
from gateway.wire.oip import reuse as oip_reuse
from gateway.wire.oip.inference import BINARY_OUTPUTS, PLAIN_OUTPUTS, Inference, OutputFormat
from gateway.wire.oip.json import decode_request, encode_response
from gateway.wire.oip.reuse import MAX_REMEMBERED, RequestJsonCache, ResponseJsonCache

EDGE = Provenance("edge")


ACME, OTHER = Partition(1, "acme", "anywhere"), Partition(1, "umbrella", "anywhere")


def learned(cache: RequestJsonCache, body: bytes, length: int | None = None) -> Inference:
    """What is read from a body that is then answered out of this region's memory."""
    inference = cache.decode(body, length, ACME)
    if inference.lesson is not None:
        inference.lesson.learn()
    return replace(inference, lesson=None)


def sent(*tensors: Tensor, **fields) -> tuple[bytes, int]:
    inputs = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": tensor.shape,
            "parameters": {**tensor.parameters, "binary_data_size": len(tensor.data)},
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
        assert learned(cache, body, length) == decode_request(body, length)

    assert repr(cache) == f"<RequestJsonCache {0 if 'id' in fields else 1} heads, 0 bodies>"


def test_parameters_of_tensors_are_read_each_time():
    """Two heads that differ in them alone are two, and each keeps its own."""
    cache = RequestJsonCache()

    for kind in ("np", "pd", "np", "pd", None):
        said = {"content_type": kind} if kind else {}
        wanted = [{"name": "y", "parameters": {"binary_data": True, **said}}]
        body, length = sent(replace(tensors()[0], parameters=said), outputs=wanted)
        read = learned(cache, body, length)
        assert read == decode_request(body, length)
        assert dict(read.inputs[0].parameters) == said
        assert dict(read.output_format.parameters) == ({"y": said} if said else {})

    assert repr(cache) == "<RequestJsonCache 3 heads, 0 bodies>"


@pytest.mark.parametrize("extra", [-1, 1])
def test_known_head_before_other_lengths_is_refused(extra):
    """A body of another length than the known head needs gets the reference's words."""
    cache = RequestJsonCache()
    body, length = sent(*tensors())
    learned(cache, body, length)
    wrong = body[:extra] if extra < 0 else body + b"\0" * extra

    with pytest.raises(GatewayError) as refused:
        cache.decode(wrong, length, ACME)
    with pytest.raises(GatewayError) as reference:
        decode_request(wrong, length)

    assert refused.value.message == reference.value.message


def test_bytes_are_checked_every_time():
    """Elements that carry their own length cannot be known by the head."""
    cache = RequestJsonCache()
    good = Tensor.from_numpy("t", np.array([b"ab"], object))
    body, length = sent(good)
    learned(cache, body, length)

    with pytest.raises(GatewayError):
        cache.decode(body[:length] + b"\xff" * 6, length, ACME)


def test_json_data_in_a_head_is_never_remembered():
    """Elements within the head belong to one request."""
    cache = RequestJsonCache()
    body = msgspec.json.encode({"inputs": [{"name": "a", "datatype": "INT8", "shape": [1], "data": [5]}]})

    assert learned(cache, body, len(body)).inputs[0].data == b"\x05"
    assert "0 heads" in repr(cache)


def test_memory_is_bounded():
    """A flood of heads keeps the newest ones."""
    cache = RequestJsonCache()
    bodies = [sent(Tensor(f"x{number:04}", "INT8", (1,), b"\0")) for number in range(1000)]
    for body, length in bodies:
        learned(cache, body, length)

    kept = [cache.decode(body, length, ACME).lesson is None for body, length in bodies]
    assert 100 < sum(kept) < oip_reuse.PLANS_BYTES // 1024
    assert kept == sorted(kept)


def test_parameters_are_shared_and_cannot_be_changed():
    """What many requests share nobody can write to."""
    cache = RequestJsonCache()
    body, length = sent(*tensors(), parameters={"note": "x"})
    learned(cache, body, length)

    with pytest.raises(TypeError):
        cache.decode(body, length, ACME).parameters["note"] = "y"


@given(
    st.lists(st.sampled_from(["INT8", "FP32", "BYTES"]), max_size=3),
    st.sampled_from(
        [BINARY_OUTPUTS, PLAIN_OUTPUTS, OutputFormat(False, {"o0": True}), OutputFormat(True, {"o0": False})]
    ),
    st.sampled_from(["", "r-1", 'a"b\\ö']),
    st.sampled_from([{}, {"cost": 1.5}]),
    st.sampled_from([{}, {"content_type": "np"}]),
)
def test_answers_equal_the_reference(datatypes, output_format, request_id, parameters, said):
    """Whatever is answered, it reads as the reference writes it, the second time as the first."""
    made = {
        "INT8": Tensor("", "INT8", (2,), b"\1\2"),
        "FP32": Tensor("", "FP32", (1,), b"\0" * 4),
        "BYTES": Tensor.from_numpy("", np.array([b"ab"], object)),
    }
    outputs = tuple(
        Tensor(f"o{place}", made[datatype].datatype, made[datatype].shape, made[datatype].data, said)
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

    first, again = (learned(cache, _json(1.0, parameters={"p": 1})) for _ in range(2))

    assert again.inputs[0] is first.inputs[0]
    assert learned(cache, _json(3.0)).inputs != first.inputs
    assert dict(again.parameters) == {"p": 1}
    with pytest.raises(TypeError):
        again.parameters["p"] = 2
    named = [learned(cache, _json(1.0, id="a")) for _ in range(2)]
    assert named[0].inputs[0] is not named[1].inputs[0]
    assert named[0].inputs == decode_request(_json(1.0), None).inputs


@pytest.mark.parametrize("length", [None, 1])
def test_nothing_is_remembered_before_it_is_answered(length):
    """Nor without a partition, nor for another one."""
    cache = RequestJsonCache()
    body, length = (_json(1.0), None) if length is None else sent(*tensors())

    assert cache.decode(body, length).lesson is None
    lesson = cache.decode(body, length, ACME).lesson
    assert lesson.is_whole is (length is None)
    assert cache.layout(body, length, ACME) is None
    assert cache.decode(body, length, ACME).lesson is not None
    assert repr(cache) == "<RequestJsonCache 0 heads, 0 bodies>"

    lesson.learn()
    assert cache.decode(body, length, ACME).lesson is None
    assert cache.layout(body, length, ACME).size == len(body)
    assert cache.layout(body, length, OTHER) is None
    assert cache.decode(body, length, OTHER).lesson is not None
    assert cache.decode(body, length, Partition(2, "acme", "anywhere")).lesson is not None


def test_bodies_of_json_are_bounded(monkeypatch):
    """However many different bodies come, only so many bytes are kept, the newest ones."""
    monkeypatch.setattr(oip_reuse, "BODIES_BYTES", 10_000)
    cache = RequestJsonCache()
    bodies = [_json(float(number)) for number in range(100)]
    for body in bodies:
        learned(cache, body)

    kept = [cache.decode(body, None, ACME).lesson is None for body in bodies]
    # Each takes more than 1 KiB beside its bytes.
    assert 0 < sum(kept) < 10
    assert kept == sorted(kept)
