"""A unary gRPC call as HTTP/2 carries it: its answer, its timeout, the status in its trailers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from gateway.http.client.evidence import Evidence
from gateway.http.framing.http2_client import Http2Response
from gateway.upstreams.tls_refusals import HandshakeRefusedError, refusal_before_http
from gateway.wire.grpc_framing import PREFIX

OK: Final = 0
CANCELLED: Final = 1
UNKNOWN: Final = 2
DEADLINE_EXCEEDED: Final = 4
PERMISSION_DENIED: Final = 7
RESOURCE_EXHAUSTED: Final = 8
UNIMPLEMENTED: Final = 12
INTERNAL: Final = 13
UNAVAILABLE: Final = 14
UNAUTHENTICATED: Final = 16

REFUSED: Final = frozenset({RESOURCE_EXHAUSTED, UNAVAILABLE})
"""Statuses of a server that has too much to do, or is out of service."""

TEXTS: Final = frozenset({b"grpc-message"})
"""Trailers whose values are texts: blanks at their ends are part of them."""

_NAMES: Final = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)

_OF_HTTP: Final[dict[int, int]] = {
    400: INTERNAL,
    401: UNAUTHENTICATED,
    403: PERMISSION_DENIED,
    404: UNIMPLEMENTED,
    429: UNAVAILABLE,
    502: UNAVAILABLE,
    503: UNAVAILABLE,
    504: UNAVAILABLE,
}
"""What an HTTP status means where no gRPC server has spoken (gRPC's http-grpc-status-mapping.md)."""

_OF_RESET: Final[dict[int, int]] = {
    0x7: UNAVAILABLE,  # REFUSED_STREAM
    0x8: CANCELLED,  # CANCEL
    0xB: RESOURCE_EXHAUSTED,  # ENHANCE_YOUR_CALM
    0xC: PERMISSION_DENIED,  # INADEQUATE_SECURITY
}
"""HTTP/2 error codes of RST_STREAM; the others are INTERNAL (gRPC's PROTOCOL-HTTP2.md)."""

_UNAVAILABLE: Final = b"%d" % UNAVAILABLE
_OUT_OF_SERVICE: Final = frozenset({502, 503})
"""Statuses of proxies whose server does not answer."""


class StatusError(Exception):
    """The call ended with a status other than OK: its ``code``, its message, and its trailing metadata."""

    def __init__(self, code: int, message: str = "", metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(f"status {code}: {message}")
        self.code, self.message, self.metadata = code, message, metadata or {}


class BrokenAnswerError(Exception):
    """The answer is not as gRPC has it."""


def timeout_value(seconds: float) -> bytes:
    """Write ``grpc-timeout``: at most eight digits and a unit, rounded up."""
    for unit, per_second in ((b"u", 1e6), (b"m", 1e3), (b"S", 1.0)):
        count = math.ceil(seconds * per_second)
        if count < 100_000_000:
            return b"%d%b" % (count, unit)
    return b"99999999S"


def name_of(code: int) -> str:
    """Return the status's name; a number has none of its own beyond gRPC's 17."""
    return _NAMES[code] if 0 <= code < len(_NAMES) else "UNKNOWN"


def code_of_reset(code: int) -> int:
    """Return the status that a reset stream stands for."""
    return _OF_RESET.get(code, INTERNAL)


def evidence_of(answer: Http2Response) -> Evidence:
    """Return what an answer shows about the endpoint: UNAVAILABLE is that it is out of service."""
    status = (answer.trailers or answer.headers).get(b"grpc-status")
    fails = status == _UNAVAILABLE or answer.status in _OUT_OF_SERVICE
    return Evidence.FAILS if fails else Evidence.WORKS


def read_answer(answer: Http2Response) -> tuple[memoryview, dict[str, str]]:
    """Return the message and the trailing metadata.

    Raises:
        StatusError: the status is not OK.
        BrokenAnswerError: there is no status, or not one whole uncompressed message.
        HandshakeRefusedError: the server wants another certificate, or TLS.
    """
    # An answer that is nothing but a status has it in the headers.
    trailers = answer.trailers or answer.headers
    status = trailers.get(b"grpc-status")
    if status is None:
        if answer.status == 200:
            raise BrokenAnswerError("the answer has no status")
        if answer.status == 400 and (found := refusal_before_http(answer.body)) is not None:
            raise HandshakeRefusedError(found)
        raise StatusError(_OF_HTTP.get(answer.status, UNKNOWN), "", _text(trailers))
    if status != b"0":
        code = int(status) if status.isdigit() and len(status) <= 2 else UNKNOWN
        message = unquote(trailers.get(b"grpc-message", b"").decode("latin-1"), errors="replace")
        raise StatusError(code, message, _text(trailers))
    body = answer.body
    if len(body) < PREFIX or body[0] != 0 or int.from_bytes(body[1:5], "big") != len(body) - PREFIX:
        raise BrokenAnswerError("the body is not one uncompressed message")
    return memoryview(body)[PREFIX:], _text(trailers)


def _text(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in headers.items()
        if not name.endswith(b"-bin")
    }
