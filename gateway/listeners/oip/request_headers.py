"""The request headers that matter here, read in one pass: the same for REST and gRPC."""

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
_GRPC_ONLY: Final = ("grpc-timeout", "grpc-encoding", "grpc-accept-encoding")
_READ: Final = (
    *_ONCE,
    headers.FORWARDED_FOR,
    _TRACEPARENT,
    _TRACESTATE,
    "inference-header-content-length",
    "content-encoding",
    "accept-encoding",
    *_GRPC_ONLY,
    headers.TRITON_GRPC_ERROR,
)
_PLACES: Final = {name: place for place, name in enumerate(_READ)}
_FORWARDED: Final = _PLACES[headers.FORWARDED_FOR]
_ABSENT: Final[list[str | None]] = [None] * len(_READ)
_NOTE: Final = "request headers"
_REMEMBERED: Final = 1024
_LONGEST: Final = 256


class RequestHeaders(msgspec.Struct, frozen=True):
    """The values of the headers; None where there is none. ``hops`` and ``trace`` as Request has them."""

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
    """Reads heads.

    ``trust`` decides which claims of a peer are believed. The headers of gRPC mean nothing in a
    request that is not a call: ``is_grpc`` False leaves them out.
    """

    def __init__(self, trust: Trust, *, is_grpc: bool) -> None:
        self._trust = trust
        ignored = () if is_grpc else _GRPC_ONLY
        self._places = {name: place for name, place in _PLACES.items() if name not in ignored}
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
        read = head.notes[_NOTE] = self._read(head)
        return read

    def _read(self, head: Head) -> RequestHeaders:
        values = _ABSENT.copy()
        places = self._places
        for name, value in head.headers:
            place = places.get(name)
            if place is None:
                continue
            if values[place] is None:
                values[place] = value
            elif place < len(_ONCE):
                raise GatewayError(Fault.INVALID, f"the header {name} is given more than once")
            elif place == _FORWARDED:
                values[place] = f"{values[place]},{value}"
        credential, tenant, hops, regions, timeout_ms, forwarded, traceparent, tracestate, *rest = values
        claims = (head.peer, forwarded or "", tenant or "", credential or "", hops or "", regions or "")
        if credential is None and len(claims[1]) + len(claims[2]) + len(claims[5]) <= _LONGEST:
            believed = self._remembered(*claims)
        else:
            believed = self._check(*claims)
        trace: tuple[tuple[str, str], ...] = ()
        if traceparent is not None:
            trace = ((_TRACEPARENT, traceparent),)
        if tracestate is not None:
            trace = (*trace, (_TRACESTATE, tracestate))
        return RequestHeaders(believed.caller, believed.hops, believed.regions, trace, timeout_ms, *rest)

    def _check(self, peer: str, *claims: str) -> TrustedClaims:
        return self._trust.check(peer, Claims(*claims))
