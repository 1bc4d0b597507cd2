"""What the parts report: frozen events in the past tense, handed to one Telemetry.

The parts know neither Prometheus nor OpenTelemetry; ``gateway.telemetry`` listens to these events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RequestFinished:
    """``code`` is ``ok`` or the fault's name, or ``cancelled`` when the caller left."""

    model: str
    provenance: str
    code: str
    seconds: float


@dataclass(frozen=True, slots=True)
class LayerTimed:
    """A layer took ``seconds``, the layers below it included."""

    layer: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CacheLookedUp:
    """``outcome``: hit, miss, early (a hit that also starts a refresh), stale, garbage, error."""

    level: str
    outcome: str


@dataclass(frozen=True, slots=True)
class FlightJoined:
    """A miss waited for an equal request already under way."""

    model: str


@dataclass(frozen=True, slots=True)
class CascadeDecided:
    """``outcome``: answered, deferred, or uncertified; ``reason``: confident, unsure, or a refusal."""

    model: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class CertificateRefused:
    """``field`` names what differed; the cascade of ``model`` defers everything."""

    model: str
    field: str


@dataclass(frozen=True, slots=True)
class BatchRan:
    """``size`` rows in ``requests`` requests waited ``queue_s`` (the oldest) and ran ``run_s``."""

    model: str
    size: int
    requests: int
    queue_s: float
    run_s: float


@dataclass(frozen=True, slots=True)
class QueueChanged:
    """``depth`` requests wait for a batch."""

    model: str
    depth: int


@dataclass(frozen=True, slots=True)
class BreakerChanged:
    """``state``: closed, open or half_open."""

    endpoint: str
    state: str


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """Attempt number ``attempt`` follows a ``fault``, after ``wait_s``."""

    attempt: int
    fault: str
    wait_s: float


@dataclass(frozen=True, slots=True)
class RetryDenied:
    """A retryable failure was passed on; ``reason``: budget, attempts or deadline."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A layer turned a request away; ``reason`` is one word."""

    layer: str
    reason: str


@dataclass(frozen=True, slots=True)
class PolicyLoaded:
    """``error`` is empty when ``generation`` came into force; else the last good one stays."""

    generation: int
    error: str


Event = (
    RequestFinished
    | LayerTimed
    | CacheLookedUp
    | FlightJoined
    | CascadeDecided
    | CertificateRefused
    | BatchRan
    | QueueChanged
    | BreakerChanged
    | RetryScheduled
    | RetryDenied
    | Refused
    | PolicyLoaded
)


class Telemetry(Protocol):
    """Where events go. It must be quick and must not raise: it runs on the path of every request."""

    def emit(self, event: Event) -> None:
        """Take note of ``event``."""
        ...


class Silence:
    """Telemetry that takes note of nothing."""

    def emit(self, event: Event) -> None:
        """Drop the event."""


_: type[Telemetry] = Silence
