"""What an endpoint says of its load: a report in its answers (ORCA), or that it wants fewer requests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from gateway.upstreams.forwarding import retry_after_s
from gateway.wire import headers

_TEXT: Final = "TEXT "
_MAX_CHARS: Final = 4096
_MAX_FIELDS: Final = 64


class LoadReport(msgspec.Struct, frozen=True):
    """Utilizations: 1.0 is all that there is; more may be said. None: it does not say.

    ``application``: of the service's own measure, ``cpu``, ``memory``. ``rps``: requests per second,
    ``eps``: errors per second. ``named``: further measures, by name.
    """

    application: float | None = None
    cpu: float | None = None
    memory: float | None = None
    rps: float | None = None
    eps: float | None = None
    named: Mapping[str, float] = {}


class LoadObserver(Protocol):
    """Who wants to know how loaded an endpoint is; called on the event loop, for each answer that says so."""

    def reported(self, report: LoadReport) -> None:
        """It said how loaded it is."""
        ...

    def refused(self, retry_after_s: float | None) -> None:
        """It has too much to do, or is out of service (429, 503); ``retry_after_s``: how long, if it says."""
        ...


_FIELDS: Final = {
    "application_utilization": "application",
    "cpu_utilization": "cpu",
    "mem_utilization": "memory",
    "rps_fractional": "rps",
    "eps": "eps",
}
_NAMED: Final = "named_metrics."


def parse_report(value: str) -> LoadReport | None:
    """Read ``endpoint-load-metrics`` in its form ``TEXT name=number, …``; None: nothing in it is known.

    It comes from another machine: what is no finite number of 0 or more is left out.
    """
    if not value.startswith(_TEXT) or len(value) > _MAX_CHARS:
        return None
    found: dict[str, float] = {}
    named: dict[str, float] = {}
    for field in value[len(_TEXT) :].split(",", _MAX_FIELDS)[:_MAX_FIELDS]:
        name, _, text = field.strip().partition("=")
        number = _number(text)
        if number is None:
            continue
        if name in _FIELDS:
            found[_FIELDS[name]] = number
        elif name.startswith(_NAMED):
            named[name[len(_NAMED) :]] = number
    return LoadReport(**found, named=named) if found or named else None


def _number(text: str) -> float | None:
    try:
        # float alone would take 1_000 and the digits of other scripts.
        number = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return None
    return number if 0 <= number < math.inf else None


REFUSED: Final = frozenset({429, 503})


def observe(observer: LoadObserver, received: Mapping[str, str], *, is_refused: bool) -> None:
    """Hand on what the headers, or trailers, of an answer say of the load."""
    value = received.get(headers.LOAD)
    if value is not None and (report := parse_report(value)) is not None:
        observer.reported(report)
    if is_refused:
        observer.refused(retry_after_s(received))
