"""The fields and trailers of gRPC answers, rendered once where they repeat."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

from gateway.core.errors import Fault, GatewayError, printable
from gateway.core.request import Provenance
from gateway.http.exchange import Answer, Fields, Pair
from gateway.listeners.response_headers import provenance_headers, safe
from gateway.wire import headers
from gateway.wire.faults import STATUSES
from gateway.wire.grpc_framing import ENCODINGS, encode_message

FIELDS: Final = Fields(
    (b"content-type", b"application/grpc"), (b"grpc-accept-encoding", ENCODINGS.encode()), is_bare=True
)
MAX_MESSAGE: Final = 1024

_OK: Final = (b"grpc-status", b"0")
_REMEMBERED: Final = 1024


class Statuses:
    """Renders the statuses of one region's answers."""

    def __init__(self, region: str) -> None:
        self._served_by = (headers.SERVED_BY.encode(), safe(region))
        self.ok = lru_cache(_REMEMBERED)(self._ok)

    def __repr__(self) -> str:
        return f"<Statuses of {self._served_by[1].decode() or 'nowhere'}>"

    def trailers(self, error: GatewayError, generation: int) -> tuple[Pair, ...]:
        """Return the trailers of a failed call."""
        message = encode_message(printable(error.message, MAX_MESSAGE))
        status = (b"grpc-status", b"%d" % STATUSES[error.fault].grpc)
        return (status, (b"grpc-message", message), *self._signature(generation), *_retry_after(error))

    def error(self, error: GatewayError, generation: int) -> Answer:
        """Answer with nothing but a status."""
        return Answer(200, FIELDS, (), (), self.trailers(error, generation))

    def _ok(self, generation: int, provenance: Provenance | None = None) -> tuple[Pair, ...]:
        """Return the trailers of a call that was answered."""
        signature = self._signature(generation)
        return (
            (_OK, *signature, *provenance_headers(provenance))
            if provenance is not None
            else (_OK, *signature)
        )

    def _signature(self, generation: int) -> tuple[Pair, Pair]:
        return self._served_by, (headers.GENERATION.encode(), b"%d" % generation)


def _retry_after(error: GatewayError) -> tuple[Pair, ...]:
    """Say when to try again: in HTTP's header, and in the one that gRPC clients obey by themselves."""
    wait_s = error.retry_after_s
    if wait_s is None:
        if error.fault is not Fault.OVERLOADED:
            return ()
        wait_s = 1.0
    return (
        (b"retry-after", b"%d" % max(1, math.ceil(wait_s))),
        (b"grpc-retry-pushback-ms", b"%d" % math.ceil(wait_s * 1000)),
    )
