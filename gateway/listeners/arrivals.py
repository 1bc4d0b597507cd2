"""What a request's headers say about it, read in one pass: the same for REST and gRPC."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import ANONYMOUS, Caller
from gateway.listeners.exchange import Head
from gateway.wire import headers
from gateway.wire.forwarded import TrustedProxies

_TRACEPARENT, _TRACESTATE = headers.TRACE
_ONCE: Final = (headers.AUTHORIZATION, headers.TENANT)
_READ: Final = (
    *_ONCE,
    headers.FORWARDED_FOR,
    headers.HOPS,
    _TRACEPARENT,
    _TRACESTATE,
    headers.TIMEOUT_MS,
    "inference-header-content-length",
    "content-encoding",
    "accept-encoding",
    "grpc-timeout",
    "grpc-encoding",
    "grpc-accept-encoding",
)
_PLACES: Final = {name: place for place, name in enumerate(_READ)}
_FORWARDED: Final = _PLACES[headers.FORWARDED_FOR]
_UNSAID: Final[list[str | None]] = [None] * len(_READ)
_REMEMBERED: Final = 1024
_LONGEST: Final = 256


class Arrival(msgspec.Struct, frozen=True):
    """What the headers say; None where they say nothing. ``hops`` and ``trace`` as Request has them."""

    caller: Caller
    hops: int
    trace: tuple[tuple[str, str], ...]
    timeout_ms: str | None
    header_length: str | None
    content_encoding: str | None
    accept_encoding: str | None
    grpc_timeout: str | None
    grpc_encoding: str | None
    grpc_accept_encoding: str | None


class Arrivals:
    """Reads heads. Whom a peer may speak for is decided by ``proxies``."""

    def __init__(self, proxies: TrustedProxies) -> None:
        self._proxies = proxies
        # Callers without a credential repeat; the bound keeps a flood of new ones from growing this.
        self._remembered = lru_cache(_REMEMBERED)(self._caller)

    def __repr__(self) -> str:
        return f"<Arrivals {self._proxies}>"

    def read(self, head: Head) -> Arrival:
        """Read a head.

        Raises:
            GatewayError: INVALID for a tenant or a credential that is given more than once: a proxy that
                appends instead of replacing would let its clients choose.
        """
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
        credential, tenant, forwarded, hops, traceparent, tracestate, *rest = said
        if credential is None and len(forwarded or "") + len(tenant or "") <= _LONGEST:
            caller = self._remembered(head.peer, forwarded, tenant, "")
        else:
            caller = self._caller(head.peer, forwarded, tenant, credential or "")
        trace: tuple[tuple[str, str], ...] = ()
        if traceparent is not None:
            trace = ((_TRACEPARENT, traceparent),)
        if tracestate is not None:
            trace = (*trace, (_TRACESTATE, tracestate))
        return Arrival(caller, _hops(hops) if hops and caller.vouched else 0, trace, *rest)

    def _caller(self, peer: str, forwarded: str | None, tenant: str | None, credential: str) -> Caller:
        vouched = self._proxies.trusts(peer)
        return Caller(
            address=self._proxies.client(peer, forwarded or ""),
            tenant=(tenant or ANONYMOUS) if vouched else ANONYMOUS,
            credential=credential,
            vouched=vouched,
        )


def _hops(value: str) -> int:
    return int(value) if value.isascii() and value.isdecimal() and len(value) <= 3 else 0
