"""Zipkin's B3: the ids of a trace in one header (``b3``), or in one each (``x-b3-…``).

https://github.com/openzipkin/b3-propagation. As OpenTelemetry reads it: where nothing says whether the trace
is recorded, it is not; a trace that is debugged is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

SINGLE: Final = "b3"
TRACE_ID, SPAN_ID, PARENT = "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid"
SAMPLED, FLAGS = "x-b3-sampled", "x-b3-flags"
MULTI: Final = (TRACE_ID, SPAN_ID, PARENT, SAMPLED, FLAGS)

_SINGLE: Final = re.compile(
    r"(?P<trace>[0-9a-f]{32}|[0-9a-f]{16})-(?P<span>[0-9a-f]{16})(-(?P<sampled>[01d])(-[0-9a-f]{16})?)?"
)
_TRACE: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{16}")
_SPAN: Final = re.compile(r"[0-9a-f]{16}")
_RECORDED: Final = frozenset({"1", "d", "true"})


class Ids(NamedTuple):
    """A span of another server; neither id is 0."""

    trace_id: int
    span_id: int
    is_sampled: bool


def read(found: Mapping[str, str]) -> Ids | None:
    """Return the ids that the headers ``found`` name, the single header first; None: none, or no ids."""
    single = _SINGLE.fullmatch(found.get(SINGLE, "").lower())
    if single is not None:
        return _ids(single["trace"], single["span"], is_sampled=single["sampled"] in _RECORDED)
    trace, span = found.get(TRACE_ID, "").lower(), found.get(SPAN_ID, "").lower()
    if not (_TRACE.fullmatch(trace) and _SPAN.fullmatch(span)):
        return None
    is_sampled = found.get(FLAGS) == "1" or found.get(SAMPLED, "").lower() in _RECORDED
    return _ids(trace, span, is_sampled=is_sampled)


def written(found: Mapping[str, str], ids: Ids) -> dict[str, str]:
    """Return ``ids`` in the forms in which ``found`` has some; those headers are replaced by these."""
    sampled, headers = "1" if ids.is_sampled else "0", {}
    if SINGLE in found:
        headers[SINGLE] = f"{ids.trace_id:032x}-{ids.span_id:016x}-{sampled}"
    if any(name in found for name in MULTI):
        headers |= {TRACE_ID: f"{ids.trace_id:032x}", SPAN_ID: f"{ids.span_id:016x}", SAMPLED: sampled}
    return headers


def _ids(trace: str, span: str, *, is_sampled: bool) -> Ids | None:
    ids = Ids(int(trace, 16), int(span, 16), is_sampled)
    return ids if ids.trace_id and ids.span_id else None
