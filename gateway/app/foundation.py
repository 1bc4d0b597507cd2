"""What a process of either role stands on: clock, telemetry, limits, tracing, TLS, and what is in force."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from opentelemetry.trace import Tracer

from gateway.app.codec_processes import CodecProcesses
from gateway.app.errors import StartError
from gateway.app.generation import InForce
from gateway.app.observe import Observed
from gateway.app.parts import Parts
from gateway.app.workers.inheritance import Inheritance
from gateway.config.settings import Settings
from gateway.core.clock import LoopClock
from gateway.core.request import CENTRAL, EDGE
from gateway.http.server.tls import Tls, TlsError
from gateway.telemetry.prometheus import Prometheus
from gateway.telemetry.requests import Requests
from gateway.telemetry.runs import Runs
from gateway.telemetry.statistics import Tallies
from gateway.telemetry.trace_settings import TraceSettings
from gateway.telemetry.tracing import Sampling, shut_down, tracer_provider
from resilience.admission import Seats
from resilience.drain import Drain

REMOTE: Final = frozenset({CENTRAL})
"""Provenances of answers that another process has computed: in the statistics they count as runs."""


@dataclass(frozen=True, slots=True)
class Foundation:
    """What both roles share.

    ``complete``: set once everything is open and the listeners accept. ``parts``: what stacks of all
    generations share. ``tls``: None: connections are in the clear. ``inheritance``: of one of several
    workers.
    """

    settings: Settings
    clock: LoopClock
    requests: Requests
    prometheus: Prometheus
    statistics: Tallies
    drain: Drain
    seats: Seats
    in_force: InForce
    tracing: TraceSettings
    tls: Tls | None
    parts: Parts
    offload: CodecProcesses
    complete: asyncio.Event
    inheritance: Inheritance | None = None

    @property
    def workers(self) -> int:
        """How many processes serve as this gateway."""
        return (self.inheritance.count if self.inheritance is not None else 0) or 1

    def is_ready(self) -> bool:
        """Whether the process is complete and does not drain."""
        return self.complete.is_set() and self.drain.is_ready


def open_foundation(
    settings: Settings, lifetimes: AsyncExitStack, inheritance: Inheritance | None = None
) -> Foundation:
    """Return what a process with ``settings`` stands on.

    Raises:
        StartError: names the file that cannot be used.
    """
    clock, runs = LoopClock(), Runs()
    requests = Requests(clock.wall)
    prometheus = Prometheus(requests, runs)
    in_force = InForce()

    def is_cached(model: str) -> bool:
        return settings.cache is not None and not in_force.forbids_cache(model)

    tracer, tracing = _open_tracing(settings, lifetimes)
    offload = CodecProcesses()
    lifetimes.push_async_callback(offload.aclose)
    parts = Parts.of(settings, clock, prometheus, Observed(clock, prometheus, tracer))
    return Foundation(
        settings=settings,
        clock=clock,
        requests=requests,
        prometheus=prometheus,
        statistics=Tallies(
            requests,
            runs,
            remote=REMOTE if settings.role == EDGE else (),
            is_cached=is_cached,
        ),
        drain=parts.drain,
        seats=parts.seats,
        in_force=in_force,
        tracing=tracing,
        tls=_load_tls(settings),
        parts=parts,
        offload=offload,
        complete=asyncio.Event(),
        inheritance=inheritance,
    )


def _open_tracing(settings: Settings, lifetimes: AsyncExitStack) -> tuple[Tracer | None, TraceSettings]:
    endpoint = settings.telemetry.otlp_endpoint
    if not endpoint:
        return None, TraceSettings()
    sampling = Sampling()
    provider = tracer_provider(settings.region, settings.role, endpoint, sampler=sampling)
    lifetimes.push_async_callback(shut_down, provider)
    return provider.get_tracer("edgeway"), TraceSettings(sampling.sample)


def _load_tls(settings: Settings) -> Tls | None:
    if settings.listen.tls is None:
        return None
    try:
        return Tls(settings.listen.tls)
    except TlsError as error:
        raise StartError(f"listen.tls: {error}") from None
