"""What the parts report: frozen events in the past tense, emitted to one Telemetry.

The parts know neither Prometheus nor OpenTelemetry; ``gateway.telemetry`` listens to these events.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from gateway.core.cache_events import CacheEvent
from gateway.core.feature_events import FeatureEvent


class RequestFinished(msgspec.Struct, frozen=True):
    """``code`` is ``ok`` or the fault's name, or ``cancelled`` when the caller left.

    ``version`` is the one that answered; else the requested one, which may be empty. ``rows``: of its batch,
    where an answer was computed; 1 where there is none to see.
    """

    model: str
    provenance: str
    code: str
    seconds: float
    version: str = ""
    tenant: str = ""
    rows: int = 1


class LayerTimed(msgspec.Struct, frozen=True):
    """A layer took ``seconds``, the layers below it included."""

    layer: str
    seconds: float


class CascadeDecided(msgspec.Struct, frozen=True):
    """``outcome``: answered, deferred, or uncertified; ``reason``: confident, unsure, or a refusal.

    ``undecided``: an output was wanted for which the certificate does not speak. ``unseen``: the request is
    of a kind that the certificate was not measured on.
    """

    model: str
    outcome: str
    reason: str


class CertificateRefused(msgspec.Struct, frozen=True):
    """``field`` names what differed; the cascade of ``model`` defers everything."""

    model: str
    field: str


class CertificateJudged(msgspec.Struct, frozen=True):
    """Whether the edge model of ``model`` may answer by itself on every route that has it come first.

    ``is_valid`` None: no route has any more.
    """

    model: str
    is_valid: bool | None


class BatchRan(msgspec.Struct, frozen=True):
    """``size`` rows in ``requests`` requests waited ``queue_s`` (the oldest) and ran ``run_s``.

    ``queued_s`` is the sum of what all of them waited. Of ``run_s``, ``input_s`` went into joining inputs
    and ``output_s`` into parting outputs.
    """

    model: str
    size: int
    requests: int
    queue_s: float
    run_s: float
    version: str = ""
    queued_s: float = 0.0
    input_s: float = 0.0
    output_s: float = 0.0


class RunCut(msgspec.Struct, frozen=True):
    """A run did not end by itself. ``outcome``: it was ``stopped``, or ``given_up`` since it did not stop."""

    model: str
    outcome: str


class ModelsRefused(msgspec.Struct, frozen=True):
    """So many folders of the repository are not served: ``bad`` ones, and those of other backends."""

    bad: int
    foreign: int


class QueueChanged(msgspec.Struct, frozen=True):
    """``depth`` requests wait for a batch."""

    model: str
    depth: int


class BreakerChanged(msgspec.Struct, frozen=True):
    """``state``: closed, open or half_open.

    ``reason``: one word for what was held against it, empty when it closes. ``model``: of which alone it
    speaks; empty for the whole endpoint.
    """

    endpoint: str
    state: str
    reason: str = ""
    model: str = ""


class BreakerAppeared(msgspec.Struct, frozen=True):
    """An endpoint came into use; its breaker is closed."""

    endpoint: str


class BreakerGone(msgspec.Struct, frozen=True):
    """No policy in force names the endpoint any more."""

    endpoint: str


class RetryScheduled(msgspec.Struct, frozen=True):
    """Attempt number ``attempt`` follows a ``fault``, after ``wait_s``."""

    attempt: int
    fault: str
    wait_s: float


class RetryDenied(msgspec.Struct, frozen=True):
    """A retryable failure was passed on; ``reason``: budget, attempts or deadline."""

    reason: str


class HedgeEnded(msgspec.Struct, frozen=True):
    """A further attempt beside a slow one has ended.

    ``outcome``: won (its answer is the answer), lost (another came first), failed, or cancelled (its caller
    left, or had no more time).
    """

    outcome: str


class HedgeDenied(msgspec.Struct, frozen=True):
    """An attempt was slow, and no other was sent beside it.

    ``reason``: percent (the route's own limit), budget (of retries), nowhere (no other member could take it),
    or pushback (an endpoint is overloaded).
    """

    reason: str


class Refused(msgspec.Struct, frozen=True):
    """A layer turned a request away; ``reason`` is one word."""

    layer: str
    reason: str


class ShadowFinished(msgspec.Struct, frozen=True):
    """What became of a copy of an answered request of ``route``.

    ``result``: agreed, differed, failed, timeout, dropped, unavailable, or outside_residency. ``later_s``:
    seconds that its answer took longer than the caller's, less than 0 where it was faster; None: there was
    none.
    """

    route: str
    result: str
    later_s: float | None = None


class PolicyLoaded(msgspec.Struct, frozen=True):
    """``error`` is empty when ``generation`` came into force; else the last good one stays.

    ``models`` are those that its routes name in full.
    """

    generation: int
    error: str
    models: tuple[str, ...] = ()


class GeoLoaded(msgspec.Struct, frozen=True):
    """The geo database in use was built at ``build_epoch``; ``error``: why another one was not taken.

    ``database``: the name of its file.
    """

    build_epoch: int
    error: str = ""
    database: str = ""


Event = (
    RequestFinished
    | LayerTimed
    | CacheEvent
    | FeatureEvent
    | CascadeDecided
    | CertificateRefused
    | CertificateJudged
    | BatchRan
    | RunCut
    | ModelsRefused
    | QueueChanged
    | BreakerAppeared
    | BreakerChanged
    | BreakerGone
    | RetryScheduled
    | RetryDenied
    | HedgeEnded
    | HedgeDenied
    | Refused
    | ShadowFinished
    | PolicyLoaded
    | GeoLoaded
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
