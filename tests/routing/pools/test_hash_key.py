"""What a hash goes by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gateway.core.request import Caller, Request
from gateway.core.tensor import Tensor
from routing.pools.hash_key import hash_key


def tensor(name: str = "x", *values: float) -> Tensor:
    data = np.array(values or (1.0,), "<f4")
    return Tensor(name, "FP32", data.shape, data.tobytes())


def request(*inputs: Tensor, **changes: Any) -> Request:
    return Request(changes.pop("model", "m"), inputs, **changes)


def test_equal_inputs_have_one_key_whoever_sends_them_under_whatever_id():
    key = hash_key("input")
    one = request(tensor("a", 1), tensor("b", 2), id="1", caller=Caller(tenant="x"))
    two = request(tensor("b", 2), tensor("a", 1), id="2")
    assert key(one) == key(two) is not None


@pytest.mark.parametrize(
    "other",
    [
        request(tensor("x", 1, 3)),
        request(tensor("y", 1, 2)),
        request(tensor("x", 1), tensor("x", 2)),
        request(tensor("x", 1, 2), model="other"),
        request(Tensor("x", "FP32", (1, 2), tensor("x", 1, 2).data)),
        request(Tensor("x", "INT32", (2,), tensor("x", 1, 2).data)),
        request(Tensor("\ud800", "FP32", (2,), tensor("x", 1, 2).data)),
    ],
)
def test_other_inputs_have_another(other):
    key = hash_key("input")
    assert key(other) != key(request(tensor("x", 1, 2)))


def test_the_caches_key_is_taken_where_there_is_one():
    assert hash_key("input")(request(tensor(), key=b"k" * 32)) == b"k" * 32
    assert hash_key("input")(request()) is None


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        (Caller(tenant="acme"), b"acme"),
        (Caller(), None),
        (Caller(claimed="acme"), b"acme"),
        (Caller(tenant="\ud800"), b"\xed\xa0\x80"),
    ],
)
def test_tenant(caller, expected):
    assert hash_key("tenant")(request(caller=caller)) == expected


def test_sequence():
    key = hash_key("sequence")
    seven, text = request(parameters={"sequence_id": 7}), request(parameters={"sequence_id": "7"})
    assert key(request()) is None
    assert key(seven) == key(request(tensor(), parameters={"sequence_id": 7})) is not None
    assert key(seven) != key(text)


def test_header():
    key = hash_key("header:X-User")
    assert key(request(headers=(("accept", "a"), ("x-user", "u1"), ("x-user", "u2")))) == b"u1"
    assert key(request(headers=(("X-USER", "u1"),))) == b"u1"
    assert key(request(headers=(("x-user", ""),))) is None
    assert key(request()) is None
