"""Area `compression`: gzip and deflate over HTTP."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import replace
from typing import Final

from gateway.conformance.call import HEADER_LENGTH
from gateway.conformance.check import Area
from gateway.conformance.clauses import BINARY, HTTP
from gateway.conformance.http_wire import HttpAnswer
from gateway.conformance.server_under_test import JSON, ServerUnderTest, reply_of
from gateway.conformance.verdicts import Absent, require

AREA = Area("compression")
MOST: Final = 64 << 20
NOT_TAKEN: Final = frozenset({415, 501})


def unpacked(answer: HttpAnswer) -> HttpAnswer:
    """Return the answer with its body as it was before it was compressed; at most ``MOST`` bytes."""
    coding = answer.header("Content-Encoding").strip().lower()
    if coding in {"", "identity"}:
        return answer
    require(coding in {"gzip", "x-gzip", "deflate"}, f"Content-Encoding is {coding[:20]!r}")
    try:
        plain = zlib.decompressobj(15 + 32).decompress(answer.body, MOST)
    except zlib.error:
        plain = b""
    require(plain, f"the body is not {coding}")
    return replace(answer, body=plain)


def _sent(tested: ServerUnderTest, coding: str, body: bytes) -> HttpAnswer:
    answer = tested.post(f"{tested.model.call().path}/infer", body, (*JSON, ("Content-Encoding", coding)))
    if answer.status in NOT_TAKEN:
        raise Absent(f"answered with status {answer.status}")
    return answer


@AREA.check("request-gzip", "a request in gzip", f"{HTTP} 8.4.1.3", optional=True)
def request_gzip(tested: ServerUnderTest) -> None:
    """The answer is that to the plain request."""
    reply = reply_of(_sent(tested, "gzip", gzip.compress(tested.model.call().as_json())))
    tested.infer(tested.model.call()).same_outputs(reply)


@AREA.check(
    "request-deflate", "a request in deflate, which is zlib's format", f"{HTTP} 8.4.1.2", optional=True
)
def request_deflate(tested: ServerUnderTest) -> None:
    """The answer is that to the plain request."""
    reply = reply_of(_sent(tested, "deflate", zlib.compress(tested.model.call().as_json())))
    tested.infer(tested.model.call()).same_outputs(reply)


@AREA.check(
    "request-binary",
    "compressed binary data; the header's length is of the plain JSON",
    BINARY,
    extension="binary_tensor_data",
)
def request_binary(tested: ServerUnderTest) -> None:
    """What tritonclient sends."""
    body, length = tested.model.call().as_binary()
    headers = (("Content-Encoding", "gzip"), (HEADER_LENGTH, str(length)))
    answer = tested.post(f"{tested.model.call().path}/infer", gzip.compress(body), headers)
    if answer.status in NOT_TAKEN:
        raise Absent(f"answered with status {answer.status}")
    tested.infer(tested.model.call()).same_outputs(reply_of(answer))


@AREA.check("request-broken", "a broken gzip is refused", f"{HTTP} 15.5.1", optional=True)
def request_broken(tested: ServerUnderTest) -> None:
    """The fault is the client's; a stream that ends early is broken, too."""
    whole = gzip.compress(tested.model.call().as_json())
    reply_of(_sent(tested, "gzip", whole))
    for broken in (b"\x1f\x8b" + b"no gzip", whole[:-12]):
        answer = _sent(tested, "gzip", broken)
        require(400 <= answer.status < 500, f"status {answer.status}, not 4xx")


@AREA.check("request-unknown", "a coding that nobody knows is refused", f"{HTTP} 8.4")
def request_unknown(tested: ServerUnderTest) -> None:
    """415 is what the standard suggests, 501 what Triton says; the body is never taken as it is."""
    headers = (*JSON, ("Content-Encoding", "suite-unknown"))
    answer = tested.post(f"{tested.model.call().path}/infer", tested.model.call().as_json(), headers)
    require(answer.status in {400, 415, 501}, f"status {answer.status}, not 415")


@AREA.check("response-gzip", "an answer in gzip when it is asked for", f"{HTTP} 12.5.3", optional=True)
def response_gzip(tested: ServerUnderTest) -> None:
    """A server may always answer without compression; what it declares as gzip must be gzip."""
    _response(tested, "gzip")


@AREA.check("response-deflate", "an answer in deflate when it is asked for", f"{HTTP} 12.5.3", optional=True)
def response_deflate(tested: ServerUnderTest) -> None:
    """As above."""
    _response(tested, "deflate")


def _response(tested: ServerUnderTest, coding: str) -> None:
    call = tested.model.call(batch=max(tested.model.batch, 64) if tested.model.is_batched else None)
    answer = tested.post(f"{call.path}/infer", call.as_json(), (*JSON, ("Accept-Encoding", coding)))
    reply = reply_of(unpacked(answer))
    encoding = answer.header("Content-Encoding").strip().lower()
    if not encoding:
        raise Absent("answered without compression")
    require(encoding == coding, f"Content-Encoding is {encoding[:20]!r}, which was not asked for")
    tested.infer(call).same_outputs(reply)


@AREA.check("response-plain", "no compression that was not asked for", f"{HTTP} 12.5.3")
def response_plain(tested: ServerUnderTest) -> None:
    """Not without Accept-Encoding, and not where it forbids gzip by `gzip;q=0`."""
    call = tested.model.call()
    for headers in (JSON, (*JSON, ("Accept-Encoding", "gzip;q=0, deflate;q=0"))):
        answer = tested.post(f"{call.path}/infer", call.as_json(), headers)
        encoding = answer.header("Content-Encoding").strip().lower()
        require(encoding in {"", "identity"}, f"Content-Encoding is {encoding[:20]!r}")
        reply_of(answer)
