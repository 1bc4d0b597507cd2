"""Indexes of other servers."""

from __future__ import annotations

import json

import pytest

from gateway.core.catalog import IndexEntry
from gateway.core.errors import Fault, GatewayError
from gateway.wire.oip.passed_index import (
    MAX_BYTES,
    MAX_ENTRIES,
    decode_index,
    decode_index_message,
    decode_names,
)
from gateway.wire.proto import messages


def test_index() -> None:
    """Triton leaves out what it does not know of a model that was never loaded."""
    body = b'[{"name": "a", "version": "1", "state": "READY", "extra": 1}, {"name": "b"}]'

    assert decode_index(body) == [IndexEntry("a", "1", "READY"), IndexEntry("b", "", "")]
    nothing = b'[{"name": "b", "version": null, "state": null, "reason": null}]'
    assert decode_index(nothing) == [IndexEntry("b", "", "")]


def test_names_alone() -> None:
    """KServe says nothing more."""
    assert decode_names(b'{"models": ["a"]}') == [IndexEntry("a", "", "UNKNOWN")]


def test_message() -> None:
    """The same over gRPC; where files lie stays there."""
    made = messages.RepositoryIndexResponse()
    made.models.add(name="a", version="1", state="UNAVAILABLE", reason="no /srv/models/a/1/model.onnx")

    assert decode_index_message(made.SerializeToString()) == [
        IndexEntry("a", "1", "UNAVAILABLE", "no model.onnx")
    ]


@pytest.mark.parametrize("name", ["", "x" * 257, "a\x1b[31m", "a\nb"])
def test_names_that_cannot_be_asked_for_are_left_out(name: str) -> None:
    """They would be shown to everybody."""
    assert decode_index(json.dumps([{"name": name}, {"name": "a"}]).encode()) == [IndexEntry("a", "", "")]


def test_other_texts_are_made_printable() -> None:
    """And short."""
    (found,) = decode_index(
        json.dumps([{"name": "a", "version": "1" * 999, "state": "\x00", "reason": "\n" * 999}]).encode()
    )

    assert len(found.version) == 64
    assert found.state == "?"
    assert len(found.reason) == 200 and found.reason.isprintable()


def test_only_so_many_models() -> None:
    """Of a server that has more."""
    body = json.dumps([{"name": str(number)} for number in range(MAX_ENTRIES + 1)]).encode()

    assert len(decode_index(body)) == MAX_ENTRIES


@pytest.mark.parametrize("name", ["", "x" * 257, "a\nb"])
def test_one_that_is_left_out_does_not_make_a_long_index_whole(name: str) -> None:
    """Fewer than can be passed on are taken for all that there are, by whoever sends requests by them."""
    names = [name, *map(str, range(MAX_ENTRIES + 1))]
    message = messages.RepositoryIndexResponse()
    for each in names:
        message.models.add(name=each)

    assert len(decode_index(json.dumps([{"name": each} for each in names]).encode())) == MAX_ENTRIES
    assert len(decode_names(json.dumps({"models": names}).encode())) == MAX_ENTRIES
    assert len(decode_index_message(message.SerializeToString())) == MAX_ENTRIES


def test_an_index_of_names_that_cannot_be_asked_for_is_none() -> None:
    """It is not read to its end, where there may be others."""
    message = messages.RepositoryIndexResponse()
    for _ in range(4 * MAX_ENTRIES):
        message.models.add(name="")
    assert decode_index_message(message.SerializeToString()) == []

    message.models.add(name="digits")
    with pytest.raises(GatewayError) as caught:
        decode_index_message(message.SerializeToString())
    assert caught.value.fault is Fault.UNSUPPORTED


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'[{"version": "1"}]', b"\xff", b"[" * 9000])
def test_what_is_no_index(body: bytes) -> None:
    """Or one that would hold the loop."""
    for decode in (decode_index, decode_names):
        with pytest.raises(GatewayError) as caught:
            decode(body)
        assert caught.value.fault is Fault.INVALID


def test_one_that_is_too_long_is_not_read() -> None:
    """It is an index, so it is not the server that fails; but nobody knows what stands there."""
    made = messages.RepositoryIndexResponse()
    made.models.add(name="a", reason="x" * MAX_BYTES)
    bodies = {decode_index_message: made.SerializeToString()}

    for decode in (decode_index, decode_names, decode_index_message):
        with pytest.raises(GatewayError) as caught:
            decode(bodies.get(decode, b"[]" + b" " * MAX_BYTES))
        assert caught.value.fault is Fault.UNSUPPORTED
