"""Inflating, on the spot and aside."""

from __future__ import annotations

import gzip
import threading
import zlib

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.listeners import inflater
from gateway.listeners.inflater import HERE_BYTES, Inflater
from gateway.wire.compression import inflate


@pytest.fixture
def threads(monkeypatch):
    """The threads on which was inflated."""
    seen = []

    def watched(*args):
        seen.append(threading.current_thread())
        return inflate(*args)

    monkeypatch.setattr(inflater, "inflate", watched)
    return seen


async def test_a_small_body_does_not_wait(threads):
    """What cannot become large is there in the first step, on the thread of the loop."""
    coroutine = Inflater(HERE_BYTES * 8, 100).inflate(zlib.compress(b"hello"), "deflate")

    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)

    assert ended.value.value == b"hello"
    assert threads == [threading.current_thread()]


async def test_a_large_body_is_inflated_aside(threads):
    """What may become large leaves the loop alone meanwhile."""
    packed = gzip.compress(bytes(HERE_BYTES * 4), 0)

    plain = await Inflater(HERE_BYTES * 8, 100).inflate(packed, "gzip")

    assert plain == bytes(HERE_BYTES * 4)
    assert threads != [threading.current_thread()]


@pytest.mark.parametrize(
    ("packed", "limit"), [(gzip.compress(bytes(1 << 20)), 1000), (bytes(1 << 20), 8 << 20)]
)
async def test_refusals_come_from_either(packed, limit):
    """A bomb, and what is no gzip, are refused wherever that is found out."""
    with pytest.raises(GatewayError) as refused:
        await Inflater(limit, 100).inflate(packed, "gzip")

    assert refused.value.fault in {Fault.TOO_LARGE, Fault.INVALID}
