"""The headers that say which trace a request belongs to, and what travels along with it.

W3C Trace Context and Baggage, and Zipkin's B3 in both its forms. A client or a proxy may spread a list over
several lines, which are one list in their order. What cannot be believed is left out, and never a reason to
refuse a request: it is then the beginning of a trace.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

from gateway.wire import b3

Pairs = tuple[tuple[str, str], ...]
Propagator = Literal["tracecontext", "baggage", "b3", "b3multi"]

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
BAGGAGE: Final = "baggage"
REQUEST_ID: Final = "x-request-id"

PROPAGATORS: Final[Mapping[Propagator, tuple[str, ...]]] = MappingProxyType(
    {
        "tracecontext": (TRACEPARENT, TRACESTATE),
        "baggage": (BAGGAGE,),
        "b3": (b3.SINGLE,),
        "b3multi": b3.MULTI,
    }
)
"""The headers of each propagator, by the names that OTEL_PROPAGATORS has for them."""

ALL: Final = tuple(PROPAGATORS)

MAX_STATE_CHARS, MAX_STATE_MEMBERS = 512, 32
"""Of a ``tracestate``: so much must be passed on at least, and so many members may be there at most."""

LONG_STATE_CHARS: Final = 128
"""Members longer than this are the first to go when a ``tracestate`` is too long."""

MAX_BAGGAGE_BYTES, MAX_BAGGAGE_MEMBERS = 8192, 64
MAX_REQUEST_ID_CHARS: Final = 128

_PARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def names_of(propagators: Collection[Propagator]) -> tuple[str, ...]:
    """Return the headers of ``propagators``."""
    return tuple(name for propagator in propagators for name in PROPAGATORS[propagator])


def combined(found: Sequence[tuple[str, str]]) -> Pairs:
    """Return the context that the header lines ``found`` stand for, in the order in which they came.

    ``traceparent`` and the headers of B3 are single: given twice they say nothing, and what depends on them
    neither. The lists become one line each, within their limits.
    """
    if len(found) == 1 and found[0][0] == TRACEPARENT:
        return fit(found)
    lines: dict[str, list[str]] = {}
    for name, value in found:
        lines.setdefault(name, []).append(value)
    once = {name: values[0] for name, values in lines.items() if len(values) == 1}
    if any(len(lines.get(name, ())) > 1 for name in b3.MULTI):
        once = {name: value for name, value in once.items() if name not in b3.MULTI}
    if TRACESTATE in lines:
        once[TRACESTATE] = _state(lines[TRACESTATE])
    if BAGGAGE in lines:
        once[BAGGAGE] = _baggage(lines[BAGGAGE])
    return fit([(name, once[name]) for name in lines if once.get(name)])


def fit(context: Iterable[tuple[str, str]]) -> Pairs:
    """Return the part of a context that can be sent to another server.

    A header that cannot stand on the wire is left out. Without ``traceparent`` so is ``tracestate``, which
    means nothing alone.
    """
    kept = [pair for pair in context if pair[1].isascii() and pair[1].isprintable()]
    if not any(name == TRACEPARENT for name, _ in kept):
        kept = [pair for pair in kept if pair[0] != TRACESTATE]
    return tuple(kept)


def trace_id(found: Iterable[tuple[str, str]]) -> str:
    """Return the id of the trace that the headers ``found`` name, 32 hexadecimal digits; empty: none."""
    named = dict(found)
    if (parent := _PARENT.match(named.get(TRACEPARENT, ""))) is not None:
        return parent[1]
    ids = b3.read(named)
    return "" if ids is None else f"{ids.trace_id:032x}"


def taken_request_id(values: Sequence[str]) -> str:
    """Return the id that the client gave a request; empty where it gave none that can be taken."""
    if len(values) != 1:
        return ""
    value = values[0]
    return value if len(value) <= MAX_REQUEST_ID_CHARS and value.isascii() and value.isprintable() else ""


def _state(lines: Sequence[str]) -> str:
    """Join the lines of a ``tracestate``; what is too much goes from its end, long members before others."""
    members = _members(lines)[:MAX_STATE_MEMBERS]
    while members and len(",".join(members)) > MAX_STATE_CHARS:
        long = [place for place, member in enumerate(members) if len(member) > LONG_STATE_CHARS]
        del members[long[-1] if long else -1]
    return ",".join(members)


def _baggage(lines: Sequence[str]) -> str:
    """Join the lines of a ``baggage``; what is too much goes from its end, whole members."""
    size, kept = -1, []
    for member in _members(lines)[:MAX_BAGGAGE_MEMBERS]:
        size += 1 + len(member)
        if size > MAX_BAGGAGE_BYTES:
            break
        kept.append(member)
    return ",".join(kept)


def _members(lines: Sequence[str]) -> list[str]:
    return [member for line in lines for part in line.split(",") if (member := part.strip(" \t"))]
