"""What an endpoint over HTTP may answer, and what comes of an answer that cannot be believed or read."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.core.errors import Fault
from tests.fakes.service import request
from tests.fakes.upstreams import (
    fails,
    flags,
    foreign_http,
    http,
)

ANSWER = b'{"model_name":"m","outputs":[{"name":"y","datatype":"INT8","shape":[2],"data":[1,2]}]}'
OUTPUT = b'{"name":"y","datatype":"FP32","shape":[2],"data":[%b]}'
VALUES = b'{"model_name":"m","outputs":[' + OUTPUT + b"]}"


@pytest.mark.parametrize(
    "answer",
    [
        http(200, b"<html>"),
        http(200, b""),
        http(200, b'{"outputs":[{"name":"y","datatype":"INT8","shape":[3],"data":[1,2]}]}'),
        http(200, ANSWER, "Inference-Header-Content-Length: nan"),
        http(200, ANSWER, "Inference-Header-Content-Length: 0"),
        http(200, ANSWER, "Inference-Header-Content-Length: 99999"),
        http(200, ANSWER + b"tail", f"Inference-Header-Content-Length: {len(ANSWER)}"),
        http(200, ANSWER, "Content-Encoding: gzip"),
    ],
    ids=["html", "empty", "size", "nan", "zero", "long", "tail", "compressed"],
)
async def test_an_answer_that_breaks_the_protocol(answer):
    """Garbage from the other side is its failure, never the client's mistake, and is bounded."""
    async with foreign_http(answer, max_body_bytes=4096) as upstream:
        error = await fails(upstream(request()))

    assert flags(error) == (Fault.UNAVAILABLE, True, True)
    assert "not as the protocol has it" in error.message
    assert error.why is not None
    assert error.why.of_model, "another model's answers may be well"


@pytest.mark.parametrize(
    "answer",
    [
        http(200, b" " * 5000),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n"
        + b" " * 4096
        + b"\r\n1000\r\n"
        + b" " * 4096,
    ],
    ids=["declared", "chunked"],
)
async def test_an_answer_above_our_own_limit(answer):
    """It would be as large again, here and elsewhere: one attempt, and no evidence."""
    async with foreign_http(answer, max_body_bytes=4096) as upstream:
        error = await fails(upstream(request()))

    assert flags(error) == (Fault.TOO_LARGE, False, False)
    assert "larger than 4096 bytes" in error.message
    assert "max_body_mib" in error.message


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (VALUES % b"1.0,null", "its JSON holds null where a value should be"),
        (
            b'{"outputs":[' + b",".join([OUTPUT % b"1,2"] * 1025) + b"]}",
            "more than 1024 outputs",
        ),
        (
            VALUES.replace(b"[2]", b"[1100000]") % (b"0," * 1_099_999 + b"0"),
            "more than 1048576 elements as JSON",
        ),
    ],
    ids=["null", "outputs", "elements"],
)
async def test_an_answer_that_we_cannot_read(answer, words):
    """What JSON has no word for, and what is more than we take: said, asked for once, held against nobody."""
    async with foreign_http(http(200, answer)) as upstream:
        error = await fails(upstream(request()))

    assert flags(error) == (Fault.INTERNAL, False, False)
    assert words in error.message


@pytest.mark.parametrize("text", [b"NaN, -Infinity", b'"NaN","-Infinity"', b"NaN,-Inf"])
async def test_nan_and_infinity_by_name_are_read(text):
    """As Triton and OVMS write them; those who write texts have them from protobuf's JSON."""
    async with foreign_http(http(200, VALUES % text)) as upstream:
        answered = await upstream(request())

    (output,) = answered.outputs
    assert np.array_equal(output.numpy(), np.array([np.nan, -np.inf]), equal_nan=True)


async def test_a_head_above_our_own_limit():
    """Another of our own limits."""
    async with foreign_http(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 99_999) as upstream:
        error = await fails(upstream(request()))

    assert flags(error) == (Fault.INTERNAL, False, False)
    assert "cannot be read" in error.message


async def test_evil_headers_of_the_other_side():
    """Digest and region come from elsewhere: they are cut and hold printable characters only."""
    lines = [
        f"x-edgeway-model-digest: {'a' * 999}",
        "x-edgeway-served-by: \x85\xff",
        "x-edgeway-provenance: edge",
    ]
    async with foreign_http(http(200, ANSWER, *lines)) as upstream:
        provenance = (await upstream(request())).provenance

    assert provenance.digest == "a" * 125 + "..."
    assert provenance.region.isprintable()
    assert (provenance.origin, provenance.certified) == ("edge", False)
