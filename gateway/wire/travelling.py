"""Which headers of a request go on to the endpoints: its trace's, and those that the settings name.

Those of the settings may change what a model answers, so they are part of the cache's key. Headers that
concern a connection, a body or a gateway never go on, whatever the settings say: this side writes its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from gateway.core.errors import Fault, GatewayError
from gateway.wire import trace_context
from gateway.wire.trace_context import ALL, Pairs, Propagator

MAX_HEADERS, MAX_BYTES = 32, 8192
"""Of the headers of one request that the settings name, names and values together."""

_PATTERN: Final = re.compile(r"[a-z0-9!#$%&'+.^_`|~-]*\*?")
_NEVER: Final = frozenset(
    {
        *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings"),
        *("host", "expect", "date", "via", "forwarded", "x-real-ip", "user-agent", "range", "priority"),
        *("origin", "referer", "inference-header-content-length", "triton_grpc_error"),
        *("x-request-timeout-ms", trace_context.REQUEST_ID),
        *trace_context.names_of(ALL),
    }
)
_NEVER_BEGINS: Final = (
    *("accept", "content-", "grpc-", "if-", "proxy-", "sec-", "x-edgeway-", "x-forwarded-", "x-envoy-"),
    *(":", "access-control-"),
)
_ONLY_IN_FULL: Final = frozenset({"authorization", "cookie"})
"""Secrets of the client's: no pattern means them."""


class TravellingHeaders:
    """What goes on to endpoints.

    Args:
        propagators: of the trace context, by OpenTelemetry's names.
        forwarded: names of further headers, in small letters; one that ends in ``*`` means all that begin so.
    """

    __slots__ = ("_begins", "_names", "context", "has_forwarded")

    def __init__(self, propagators: Collection[Propagator] = ALL, forwarded: Sequence[str] = ()) -> None:
        self.context = trace_context.names_of(propagators)
        """The headers of the trace context."""
        names = [name.lower() for name in forwarded]
        self._names = frozenset(name for name in names if not name.endswith("*"))
        self._begins = tuple(name[:-1] for name in names if name.endswith("*"))
        self.has_forwarded = bool(names)
        """Whether the settings name headers."""

    def __repr__(self) -> str:
        return (
            f"<TravellingHeaders {' '.join([*sorted(self._names), *(f'{each}*' for each in self._begins)])}>"
        )

    def forwarded(self, found: Iterable[tuple[str, str]]) -> Pairs:
        """Return those of the headers ``found`` that the settings name, in their order.

        Raises:
            GatewayError: INVALID for more than may go on, and for a value that cannot stand in a header: the
                model's answer may depend on it, so that it cannot be left out.
        """
        kept = tuple([pair for pair in found if self._is_named(pair[0])])
        if len(kept) > MAX_HEADERS or sum(len(name) + len(value) for name, value in kept) > MAX_BYTES:
            raise GatewayError(
                Fault.INVALID,
                f"at most {MAX_HEADERS} headers of {MAX_BYTES} bytes together go on to the model, and this"
                f" request has {len(kept)} of those that upstreams.forward_headers names",
            )
        for name, value in kept:
            if not (value.isascii() and value.isprintable()):
                raise GatewayError(
                    Fault.INVALID, f"the header {name} goes on to the model, so it must be printable ASCII"
                )
        return kept

    def _is_named(self, name: str) -> bool:
        if name in self._names:
            return True
        return name.startswith(self._begins) and not (name in _ONLY_IN_FULL or _is_own(name))


def problem_of(pattern: str) -> str:
    """Return why headers cannot be named by ``pattern``; empty: they can."""
    name = pattern.lower()
    if not name or not _PATTERN.fullmatch(name):
        return f"'{pattern}' is no name of a header, in full or with a * at its end"
    if not name.endswith("*") and _is_own(name):
        return f"'{pattern}' is never passed on as it comes: the gateway reads it, or writes its own"
    return ""


def _is_own(name: str) -> bool:
    return name in _NEVER or name.startswith(_NEVER_BEGINS)
