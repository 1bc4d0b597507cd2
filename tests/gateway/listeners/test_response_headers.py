"""The headers about an answer."""

from __future__ import annotations

import pytest

from gateway.core.request import Provenance
from gateway.listeners.response_headers import provenance_headers, safe
from tests.fakes.service import ScriptedService, answer
from tests.gateway.listeners.oip.rest.requests import INFER, listed, wire


async def test_stale_words():
    """Whatever the answer says of itself fits into a header."""
    service = ScriptedService(answer("edge", digest="sha\r\nx: y", level="l1"))

    reply = await wire(service).ask("POST", INFER, listed())

    assert reply.headers["x-edgeway-model-digest"] == "shax: y"


def test_provenance():
    """Where an answer came from; a digest only if there is one."""
    cached = Provenance("edge", certified=False, level="l2", stale=True, digest="sha256:00")

    assert dict(provenance_headers(Provenance("central"))) == {
        b"x-edgeway-provenance": b"central",
        b"x-edgeway-certified": b"true",
    }
    assert dict(provenance_headers(cached)) == {
        b"x-edgeway-provenance": b"cache;level=l2;origin=edge;stale",
        b"x-edgeway-certified": b"false",
        b"x-edgeway-model-digest": b"sha256:00",
    }
    assert (b"x-edgeway-features", b"stale") in provenance_headers(Provenance("edge", features="stale"))


@pytest.mark.parametrize("value", ["eu\r\nx: y", "eu\0x: y", "eux\x7f: y", "eux: yé"])
def test_nothing_can_end_a_header(value):
    """Control characters and what is not ASCII are left out."""
    assert safe(value) == b"eux: y"
