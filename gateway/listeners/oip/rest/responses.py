"""Writing REST answers: header fields that repeat are rendered once and shared."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

from msgspec.structs import replace

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import CacheStatus, Provenance
from gateway.http.exchange import Answer, Fields, Pair
from gateway.listeners.response_headers import cache_headers, provenance_headers, safe
from gateway.wire import headers
from gateway.wire.compression import MAX_DEFLATED, choose_coding, deflate
from gateway.wire.faults import STATUSES
from gateway.wire.oip.json import Body
from gateway.wire.oip.metadata import encode_error

JSON: Final = b"application/json"
BINARY: Final = b"application/octet-stream"
EVENTS: Final = b"text/event-stream"

INTERNAL_ERROR: Final = Answer(
    500, Fields((b"content-type", JSON)), (encode_error("internal error"),), close=True
)
"""For a request that nothing else can be said about."""

_REMEMBERED: Final = 1024  # provenances, generations and lengths in use at once; far fewer in practice
_HEADER_LENGTH: Final = headers.INFERENCE_HEADER_LENGTH.encode()


class Refusal(Exception):  # noqa: N818 - it ends in an answer of HTTP's own, which is no error of ours
    """A refusal in HTTP's own terms, which no other protocol shares."""

    def __init__(self, status: int, message: str, *extra: Pair) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.extra = extra


def with_cache_status(answer: Answer, status: CacheStatus) -> Answer:
    """Return ``answer``, which says what the cache did."""
    return replace(answer, extra=(*answer.extra, *cache_headers(status)))


class Responses:
    """Builds the answers of one region; ``compress_from_bytes``: smaller ones are sent as they are."""

    def __init__(self, region: str, compress_from_bytes: int) -> None:
        self._region = region
        self._compress_from = compress_from_bytes
        self._fields = lru_cache(_REMEMBERED)(self._render)

    def __repr__(self) -> str:
        return f"<Responses of {self._region or 'nowhere'}>"

    def inference(
        self, body: Body, provenance: Provenance, generation: int, accepted: str | None = None
    ) -> Answer:
        """Answer an inference; compressed when the client accepts it and the body is worth it."""
        length = body.header_length
        fields = self._fields(generation, JSON if length is None else BINARY, provenance, length)
        if accepted is None:
            return Answer(200, fields, body.parts)
        return self._compressed(Answer(200, fields, body.parts), accepted)

    def json(self, body: bytes, generation: int, status: int = 200, extra: tuple[Pair, ...] = ()) -> Answer:
        """Answer with a small JSON body."""
        return Answer(status, self._fields(generation, JSON), (body,), extra)

    def events(self, generation: int, provenance: Provenance) -> Fields:
        """Return the fields of a stream of server-sent events."""
        return self._fields(generation, EVENTS, provenance)

    def empty(self, generation: int) -> Answer:
        """Answer that something was done."""
        return Answer(200, self._fields(generation, JSON))

    def error(self, error: GatewayError, generation: int) -> Answer:
        """Answer with a fault's status; under overload with the time after which to try again."""
        extra: tuple[Pair, ...] = ()
        if error.retry_after_s is not None or error.fault is Fault.OVERLOADED:
            extra = ((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after_s or 0))),)
        return self.json(encode_error(error.message), generation, STATUSES[error.fault].http, extra)

    def refusal(self, refusal: Refusal, generation: int) -> Answer:
        """Answer in HTTP's own terms."""
        return self.json(encode_error(refusal.message), generation, refusal.status, refusal.extra)

    def _compressed(self, answer: Answer, accepted: str) -> Answer:
        size = sum(map(len, answer.body))
        if not self._compress_from <= size <= MAX_DEFLATED or not (coding := choose_coding(accepted)):
            return answer
        extra = ((b"content-encoding", coding.encode()), (b"vary", b"accept-encoding"))
        return Answer(answer.status, answer.fields, (deflate(answer.body, coding),), extra)

    def _render(
        self,
        generation: int,
        content_type: bytes,
        provenance: Provenance | None = None,
        header_length: int | None = None,
    ) -> Fields:
        pairs = [
            (b"content-type", content_type),
            (headers.SERVED_BY.encode(), safe(self._region)),
            (headers.GENERATION.encode(), b"%d" % generation),
        ]
        if provenance is not None:
            pairs += provenance_headers(provenance)
        if header_length is not None:
            pairs.append((_HEADER_LENGTH, b"%d" % header_length))
        return Fields(*pairs)
