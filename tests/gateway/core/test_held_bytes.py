"""What a request and its answer hold: whole buffers, once each, and what they say in texts."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.held_bytes import held_bytes
from gateway.core.request import Provenance, Response
from gateway.core.tensor import Tensor
from tests.fakes.service import answer, request

MIB = 1 << 20
NOTHING = Response("digits", "1", (), Provenance("central"))


def one(data: Any, **changes: Any) -> Tensor:
    return Tensor("image", "UINT8", (1,), data, **changes)


def test_a_view_holds_all_of_its_buffer() -> None:
    """And two views of one buffer hold it once."""
    body = bytes(8 * MIB)
    views = tuple(one(memoryview(body)[place : place + 1]) for place in (1, 2, 3))

    assert 8 * MIB < held_bytes(request(inputs=views), NOTHING) < 9 * MIB


@pytest.mark.parametrize("buffer", [bytes(MIB), bytearray(MIB), memoryview(bytes(MIB)).cast("I")])
def test_buffers_of_any_kind_count(buffer: Any) -> None:
    """Those of the answer as well."""
    outputs = (one(buffer if isinstance(buffer, bytes) else memoryview(buffer)),)
    response = Response("digits", "1", outputs, Provenance("central"))

    assert MIB < held_bytes(request(inputs=()), response) < 2 * MIB


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": {"note": "x" * MIB}},
        {"parameters": {"x" * MIB: True}},
        {"inputs": (one(b"0", parameters={"note": "x" * MIB}),)},
        {"output_parameters": {"y": {"note": "x" * MIB}}},
        {"outputs": ("x" * MIB,)},
        {"id": "x" * MIB},
        {"headers": (("note", "x" * MIB),)},
        {"inputs": (one(b"0"),) * 2000},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_a_client_can_make_large_counts(changes: dict[str, Any]) -> None:
    """A parameter of a megabyte is a megabyte, wherever it stands."""
    assert held_bytes(request(**changes), answer()) > MIB


def test_a_common_request_is_small() -> None:
    """So that a queue of them has room."""
    assert held_bytes(request(), answer()) < 8192
