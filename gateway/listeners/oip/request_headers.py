"""What a request's headers say about it, read in one pass: the same for REST and gRPC."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller
from gateway.http.exchange import Head
from gateway.wire import headers
from gateway.wire.trust import Claims, Trust, TrustedClaims

_TRACEPARENT, _TRACESTATE = headers.TRACE
_ONCE: Final = (
    headers.AUTHORIZATION,
    headers.TENANT,
    headers.HOPS,
    headers.REGIONS,
    headers.TIMEOUT_MS,
)
_READ: Final = (
    *_ONCE,
    headers.FORWARDED_FOR,
    _TRACEPARENT,
    _TRACESTATE,
    "inference-header-content-length",
    "content-encoding",
    "accept-encoding",
    "grpc-timeout",
    "grpc-encoding",
    "grpc-accept-encoding",
    headers.TRITON_GRPC_ERROR,
)
_PLACES: Final = {name: place for place, name in enumerate(_READ)}
_FORWARDED: Final = _PLACES[headers.FORWARDED_FOR]
_UNSAID: Final[list[str | None]] = [None] * len(_READ)
_NOTE: Final = "arrival"
_REMEMBERED: Final = 1024
_LONGEST: Final = 256


class RequestHeaders(msgspec.Struct, frozen=True):
    """What the headers say; None where they say nothing. ``hops`` and ``trace`` as Request has them."""

    caller: Caller
    hops: int
    regions: frozenset[str] | None
    trace: tuple[tuple[str, str], ...]
    timeout_ms: str | None
    header_length: str | None
    content_encoding: str | None
    accept_encoding: str | None
    grpc_timeout: str | None
    grpc_encoding: str | None
    grpc_accept_encoding: str | None
    triton_grpc_error: str | None


class RequestHeaderReader:
    """Reads heads. Whom a peer may speak for is decided by ``trust``."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        # Callers without a credential repeat; the bound keeps a flood of new ones from growing this.
        self._remembered = lru_cache(_REMEMBERED)(self._check)

    def __repr__(self) -> str:
        return f"<RequestHeaderReader {self._trust!r}>"

    def read(self, head: Head) -> RequestHeaders:
        """Read a head.

        Raises:
            GatewayError: INVALID for a header that is given more than once and must not be: a proxy that
                appends instead of replacing would let its clients choose; else as Trust has it.
        """
        known: RequestHeaders | None = head.notes.get(_NOTE)
        if known is not None:
            return known
        arrival = head.notes[_NOTE] = self._read(head)
        return arrival

    def _read(self, head: Head) -> RequestHeaders:
        said = _UNSAID.copy()
        for name, value in head.headers:
            place = _PLACES.get(name)
            if place is None:
                continue
            if said[place] is None:
                said[place] = value
            elif place < len(_ONCE):
                raise GatewayError(Fault.INVALID, f"the header {name} is given more than once")
            elif place == _FORWARDED:
                said[place] = f"{said[place]},{value}"
        credential, tenant, hops, regions, timeout_ms, forwarded, traceparent, tracestate, *rest = said
        claims = (head.peer, forwarded or "", tenant or "", credential or "", hops or "", regions or "")
        if credential is None and len(claims[1]) + len(claims[2]) + len(claims[5]) <= _LONGEST:
            arrived = self._remembered(*claims)
        else:
            arrived = self._check(*claims)
        trace: tuple[tuple[str, str], ...] = ()
        if traceparent is not None:
            trace = ((_TRACEPARENT, traceparent),)
        if tracestate is not None:
            trace = (*trace, (_TRACESTATE, tracestate))
        return RequestHeaders(arrived.caller, arrived.hops, arrived.regions, trace, timeout_ms, *rest)

    def _check(self, peer: str, *claims: str) -> TrustedClaims:
        return self._trust.check(peer, Claims(*claims))
