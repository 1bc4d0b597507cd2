"""What is counted in JSON, before any of it is made."""

from __future__ import annotations

import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.errors import Fault, GatewayError
from gateway.core.tensor import MAX_BYTES_ELEMENTS
from gateway.wire.oip import json_bounds
from gateway.wire.oip.generate import decode_generate
from gateway.wire.oip.json import decode_request
from gateway.wire.oip.json_bounds import MAX_KEYS, check_json, count_texts
from gateway.wire.oip.validation import MAX_DECODED, MAX_TENSORS

LISTED = b'{"name":"%b","datatype":"FP32","shape":[%d],"data":[%b]}'
MOST = 16 << 20
MANY = MAX_DECODED + MAX_KEYS


def body(*inputs: bytes, outputs: bytes = b"", parameters: bytes = b"") -> bytes:
    return b'{"inputs":[%b],"outputs":[%b],"parameters":{%b}}' % (b",".join(inputs), outputs, parameters)


def zeros(count: int) -> bytes:
    return b"0," * (count - 1) + b"0"


def refusal(json: bytes, read=lambda json: decode_request(json, None, MOST)) -> GatewayError:
    """What is said of it, without a multiple of its size having been made of it."""
    tracemalloc.start()
    try:
        with pytest.raises(GatewayError) as refused:
            read(json)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(json) + (4 << 20)
    return refused.value


@pytest.mark.parametrize(
    ("json", "words"),
    [
        (body(outputs=b",".join([b'{"name":"y"}'] * MAX_KEYS)), "16384 keys"),
        (body(parameters=b",".join([b'"p":0'] * MAX_KEYS)), "16384 keys"),
        (
            body(outputs=b",".join([b'{"n\\u0061me":"y"}'] * (1 << 18))),
            f"{MAX_BYTES_ELEMENTS + 2 * MAX_KEYS} texts",
        ),
        (body(LISTED % (b"x", 1, b"0") + b',{"shape":[' + zeros(MANY + 9) + b"]}"), "1048576 elements"),
        (body(*[LISTED % (b"x%d" % i, 1 << 18, zeros(1 << 18)) for i in range(5)]), "1048576 elements"),
    ],
    ids=["outputs", "parameters", "escaped keys", "dimensions", "of all inputs together"],
)
def test_too_much_json(json: bytes, words: str) -> None:
    """Each would be millions of objects, within the bound of bytes."""
    error = refusal(json)

    assert error.fault is Fault.INVALID
    assert words in error.message


def test_too_much_to_generate() -> None:
    """Values are counted before there is one object for each."""
    spec = ModelSpec("m", (), "", (TensorSpec("x", "FP32", (-1,)),), ())

    error = refusal(b'{"x":[' + zeros(MANY + 9) + b"]}", lambda json: decode_generate(spec, json))

    assert "1048576 elements" in error.message


def test_too_many_tensors() -> None:
    outputs = b",".join(b'{"name":"y%d"}' % number for number in range(MAX_TENSORS + 1))

    assert "more than 1024 outputs" in refusal(body(outputs=outputs)).message


def test_what_clients_send_is_read() -> None:
    """An image as a list, the most elements, and text with whatever in it."""
    text = msgspec.json.encode(["\\", '"', '{"a": [1, 2]}\\"' * 200_000, ":" * 20_000, "," * 2_000_000])
    for tensor, count in (
        (LISTED % (b"x", 150_528, zeros(150_528)), 150_528),
        (LISTED % (b"x", MAX_DECODED, zeros(MAX_DECODED)), MAX_DECODED),
        (b'{"name":"x","datatype":"BYTES","shape":[5],"data":%b}' % text, 5),
    ):
        (read,) = decode_request(body(tensor), None, MOST).inputs
        assert read.shape == (count,)


@given(
    st.recursive(
        st.text(max_size=9) | st.integers(), lambda kind: st.lists(kind) | st.dictionaries(st.text(), kind)
    )
)
def test_texts_are_told_from_the_rest(value) -> None:
    """However they are escaped, what is counted is what there is."""
    json = msgspec.json.encode(value)
    bare = json_bounds.without_texts(json)

    keys, texts, commas = _counted(value)
    assert (bare.count(b":"), bare.count(b",")) == (keys, commas)
    assert json_bounds.without_escapes(json).count(b'"') == 2 * texts
    assert count_texts(json) >= texts


def test_small_json_is_not_counted() -> None:
    """Heads before binary data cost a comparison."""
    check_json(b":" * (MAX_KEYS + 1))


def _counted(value) -> tuple[int, int, int]:
    if isinstance(value, str | int):
        return 0, int(isinstance(value, str)), 0
    inner = list(value.values()) if isinstance(value, dict) else value
    keys, texts, commas = len(value) if isinstance(value, dict) else 0, 0, max(0, len(value) - 1)
    sums = [(keys, keys + texts, commas), *map(_counted, inner)]
    return tuple(map(sum, zip(*sums, strict=True)))
