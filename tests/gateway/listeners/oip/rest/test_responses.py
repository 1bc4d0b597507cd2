"""How REST answers are written."""

from __future__ import annotations

import gzip

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Provenance
from gateway.listeners.oip.rest.responses import INTERNAL_ERROR, Refusal, Responses
from gateway.wire.faults import STATUSES
from gateway.wire.oip.json import Body
from tests.fakes.service import ScriptedService
from tests.gateway.listeners.oip.rest.requests import INFER, binary, listed, wire


async def test_small_answers_are_not_compressed():
    """What compression would not help goes out as it is."""
    body, headers = binary()

    reply = await wire().ask("POST", INFER, body, headers | {"Accept-Encoding": "gzip"})

    assert "content-encoding" not in reply.headers


@pytest.mark.parametrize(("elements", "coding"), [(60_000, "gzip"), (70_000, None)])
async def test_large_answers_are_not_compressed(elements, coding):
    """Above 256 KiB it would hold others up for longer than they should wait."""
    head = (
        b'{"inputs":[{"name":"x","datatype":"FP32","shape":[%d],"parameters":{"binary_data_size":%d}}],%b}'
        % (
            elements,
            4 * elements,
            b'"parameters":{"binary_data_output":true}',
        )
    )
    headers = {"Inference-Header-Content-Length": str(len(head)), "Accept-Encoding": "gzip"}

    reply = await wire().ask("POST", INFER, head + bytes(4 * elements), headers)

    assert reply.status == 200
    assert reply.headers.get("content-encoding") == coding


@pytest.mark.parametrize("fault", list(Fault))
async def test_every_fault_has_its_status(fault):
    """The table of faults is followed; overload says when to come again."""
    error = GatewayError(fault, "why")

    reply = await wire(ScriptedService(error)).ask("POST", INFER, listed())

    assert (reply.status, reply.error) == (STATUSES[fault].http, "why")
    assert ("retry-after" in reply.headers) is (fault is Fault.OVERLOADED)


@pytest.mark.parametrize(
    ("fault", "retry_after_s", "header"),
    [
        (Fault.OVERLOADED, None, b"1"),
        (Fault.OVERLOADED, 0.2, b"1"),
        (Fault.UNAVAILABLE, 2.1, b"3"),
        (Fault.UNAVAILABLE, None, None),
    ],
)
def test_retry_after(fault, retry_after_s, header):
    """Whole seconds, rounded up, and never 0."""
    answer = Responses("eu-west", 0).error(GatewayError(fault, "why", retry_after_s=retry_after_s), 7)

    assert dict(answer.extra).get(b"retry-after") == header


def test_a_refusal_of_http():
    """It has a status and headers of its own."""
    answer = Responses("eu-west", 0).refusal(Refusal(405, "no", (b"allow", b"GET")), 7)

    assert (answer.status, answer.extra, answer.body) == (405, ((b"allow", b"GET"),), (b'{"error":"no"}',))


def test_fields_that_repeat_are_shared():
    """Rendered once for equal generations, provenances and lengths."""
    responses = Responses("eu-west", 1024)
    first, second, other = (
        responses.inference(Body([b"{}"], length), Provenance("edge", level="l1"), 7)
        for length in (None, None, 2)
    )

    assert first.fields is second.fields
    assert dict(other.fields.pairs)[b"inference-header-content-length"] == b"2"
    assert dict(first.fields.pairs)[b"x-edgeway-served-by"] == b"eu-west"
    assert repr(Responses("", 0)) == "<Responses of nowhere>"


@pytest.mark.parametrize(("size", "coding"), [(1023, None), (1024, b"gzip")])
def test_compression_begins_at_its_size(size, coding):
    """Smaller answers are sent as they are; the compressed one is one part."""
    answer = Responses("eu-west", 1024).inference(Body([bytes(size)], None), Provenance("edge"), 7, "gzip")

    assert dict(answer.extra).get(b"content-encoding") == coding
    assert len(gzip.decompress(answer.body[0]) if coding else answer.body[0]) == size


def test_the_answer_when_nothing_else_can_be_said():
    """In JSON as every error; the connection ends after it."""
    assert (INTERNAL_ERROR.status, INTERNAL_ERROR.close) == (500, True)
    assert INTERNAL_ERROR.fields.lines == b"content-type: application/json\r\n"
    assert INTERNAL_ERROR.body == (b'{"error":"internal error"}',)
