"""The request headers that matter to every protocol family, read in one pass with those of the family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, Generic, TypeVar

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
    "content-encoding",
    "accept-encoding",
)
_FORWARDED: Final = _READ.index(headers.FORWARDED_FOR)
_NOTE: Final = "request headers"
_REMEMBERED: Final = 1024
_LONGEST: Final = 256


class RequestHeaders(msgspec.Struct, frozen=True):
    """The values of the headers; None where there is none. ``hops`` and ``trace`` as Request has them.

    A protocol family that reads more headers adds a field for each (see ``RequestHeaderReader``).
    """

    caller: Caller
    hops: int
    regions: frozenset[str] | None
    trace: tuple[tuple[str, str], ...]
    timeout_ms: str | None
    content_encoding: str | None
    accept_encoding: str | None


H = TypeVar("H", bound=RequestHeaders)


class RequestHeaderReader(Generic[H]):
    """Reads heads.

    Args:
        trust: decides which claims of a peer are believed.
        kind: what is made of a head.
        names: the headers, in small letters, that fill the fields which ``kind`` adds, in their order;
            fields beyond them keep their defaults. Of a header given twice the first value counts.
    """

    def __init__(self, trust: Trust, kind: Callable[..., H], names: Sequence[str] = ()) -> None:
        self._trust, self._kind = trust, kind
        read = (*_READ, *names)
        self._places = {name: place for place, name in enumerate(read)}
        self._absent: list[str | None] = [None] * len(read)
        # Callers without a credential repeat; the bound keeps a flood of new ones from growing this.
        self._remembered = lru_cache(_REMEMBERED)(self._check)

    def __repr__(self) -> str:
        return f"<RequestHeaderReader of {len(self._places)} headers, {self._trust!r}>"

    def read(self, head: Head) -> H:
        """Read a head.

        Raises:
            GatewayError: INVALID for a header that is given more than once and must not be: a proxy that
                appends instead of replacing would let its clients choose; else as Trust has it.
        """
        known: H | None = head.notes.get(_NOTE)
        if known is not None:
            return known
        read = head.notes[_NOTE] = self._read(head)
        return read

    def _read(self, head: Head) -> H:
        values = self._absent.copy()
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
        return self._kind(believed.caller, believed.hops, believed.regions, trace, timeout_ms, *rest)

    def _check(self, peer: str, *claims: str) -> TrustedClaims:
        return self._trust.check(peer, Claims(*claims))
