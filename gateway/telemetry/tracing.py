"""OpenTelemetry: W3C context in, one span per layer, W3C context out, OTLP export.

Nothing here is in a stack unless an endpoint to export to is set, so tracing is free when it is off.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import CancelledError
from contextlib import suppress
from threading import Thread
from typing import Any, Final

from msgspec.structs import replace
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    DEFAULT_ON,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request, Response
from gateway.core.service import Filter, Service
from gateway.wire import b3
from gateway.wire.trace_context import REQUEST_ID, TRACEPARENT, TRACESTATE

_LOG: Final = logging.getLogger("edgeway")

LAST_SPANS_S: Final = 1.0
"""A process that leaves waits so long for the collector to take its last spans."""

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_REQUEST_ID_ATTRIBUTE: Final = "http.request.header.x-request-id"
"""As OpenTelemetry's conventions name the values of a header."""

_CLIENTS_OWN: Final = frozenset(
    {
        Fault.INVALID,
        Fault.UNAUTHENTICATED,
        Fault.FORBIDDEN,
        Fault.NOT_FOUND,
        Fault.TOO_LARGE,
        Fault.UNSUPPORTED,
    }
)
"""As OpenTelemetry's HTTP conventions have it: on a server span a 4xx is no error."""


class Sampling(Sampler):
    """Which requests are traced: one in so many, chosen by trace id, or as the caller has chosen."""

    def __init__(self) -> None:
        self._by: Sampler = ALWAYS_OFF
        self.sample(1)

    def __repr__(self) -> str:
        return f"<{self.get_description()}>"

    def sample(self, one_in: int) -> None:
        """Trace one request in ``one_in`` from now on; none, whatever callers say, at 0."""
        self._by = ParentBased(TraceIdRatioBased(1 / one_in)) if one_in else ALWAYS_OFF

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        *args: Any,
        **kwargs: Any,
    ) -> SamplingResult:
        """Decide as the settings in force say."""
        return self._by.should_sample(parent_context, trace_id, name, *args, **kwargs)

    def get_description(self) -> str:
        """Name what decides."""
        return f"Sampling by {self._by.get_description()}"


def tracer_provider(
    region: str,
    role: str,
    endpoint: str,
    *,
    exporter: SpanExporter | None = None,
    sampler: Sampler = DEFAULT_ON,
) -> TracerProvider:
    """Build the provider that exports to ``endpoint`` (OTLP over HTTP, ``http://collector:4318``)."""
    resource = Resource.create({"service.name": "edgeway", "edgeway.region": region, "edgeway.role": role})
    provider = TracerProvider(sampler, resource, shutdown_on_exit=False)
    exporter = exporter or OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=2)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


async def shut_down(provider: TracerProvider, limit_s: float = LAST_SPANS_S) -> None:
    """Send the spans that are left and close ``provider``, in ``limit_s`` seconds or not at all.

    A collector that accepts and never answers could hold up the process for half a minute.
    """
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def work() -> None:
        try:
            provider.shutdown()
        finally:
            # The loop may have ended without it.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(done.set)

    # Not in the loop's pool of threads, for whose threads the process would wait.
    Thread(target=work, name="last spans", daemon=True).start()
    try:
        async with asyncio.timeout(limit_s):
            await done.wait()
    except TimeoutError:
        _LOG.warning("the collector did not take the last spans within %g s, they are lost", limit_s)


class Trace:
    """The outermost filter: continues the caller's trace, or begins one, with a server span."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def __repr__(self) -> str:
        return "<Trace>"

    async def __call__(self, request: Request, service: Service) -> Response:
        """Answer inside a server span named after the model."""
        context = dict(request.trace)
        parent = _PROPAGATOR.extract(context) if TRACEPARENT in context else _b3_parent(context)
        attributes: dict[str, Any] = {"edgeway.model": request.model, "edgeway.request_id": request.id}
        if request_id := context.get(REQUEST_ID):
            attributes[_REQUEST_ID_ATTRIBUTE] = (request_id,)
        with self._tracer.start_as_current_span(
            "infer",
            parent,
            SpanKind.SERVER,
            attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                response = await service(request)
            except BaseException as error:
                _mark(span, error, is_server=True)
                raise
            span.set_attribute("edgeway.provenance", response.provenance.label)
            span.set_attribute("edgeway.certified", response.provenance.certified)
            return response


class Span:
    """One layer as a span; an ``outward`` one also sends its context to the other side."""

    def __init__(self, tracer: Tracer, layer: str, *, outward: bool = False) -> None:
        self._tracer = tracer
        self._layer = layer
        self._outward = outward

    def __repr__(self) -> str:
        return f"<Span {self._layer}{' to the endpoint' if self._outward else ''}>"

    async def __call__(self, request: Request, service: Service) -> Response:
        """Answer inside a span named after the layer."""
        kind = SpanKind.CLIENT if self._outward else SpanKind.INTERNAL
        with self._tracer.start_as_current_span(
            self._layer, kind=kind, record_exception=False, set_status_on_exception=False
        ) as span:
            if self._outward:
                request = replace(request, trace=_sent(dict(request.trace), span))
                span.set_attribute("edgeway.attempt", request.attempt)
            try:
                return await service(request)
            except BaseException as error:
                _mark(span, error)
                raise


def _b3_parent(context: dict[str, str]) -> Context:
    """Return a context with the span that B3's headers name as the parent of what comes, if they do."""
    ids = b3.read(context)
    if ids is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED if ids.is_sampled else TraceFlags.DEFAULT)
    remote = SpanContext(ids.trace_id, ids.span_id, is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(NonRecordingSpan(remote), Context())


def _sent(context: dict[str, str], span: trace.Span) -> tuple[tuple[str, str], ...]:
    """Return the headers of a context with ``span`` as the parent, in each form in which it came.

    W3C's are always among them. Baggage and the request's id stay as they are.
    """
    for name in (TRACEPARENT, TRACESTATE):
        context.pop(name, None)
    own = span.get_span_context()
    ids = b3.Ids(own.trace_id, own.span_id, own.trace_flags.sampled)
    replaced = b3.written(context, ids)
    if replaced:
        for name in (b3.SINGLE, *b3.MULTI):
            context.pop(name, None)
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, trace.set_span_in_context(span))
    return tuple({**carrier, **replaced, **context}.items())


def _mark(span: trace.Span, error: BaseException, *, is_server: bool = False) -> None:
    """Say how a span ended: a server's answer to a client's own mistake is no error of the server's."""
    if isinstance(error, GatewayError):
        span.set_attribute("edgeway.fault", error.fault.value)
        if not (is_server and error.fault in _CLIENTS_OWN):
            span.set_status(Status(StatusCode.ERROR, error.fault.value))
    elif isinstance(error, CancelledError):
        span.set_attribute("edgeway.fault", "cancelled")
    else:
        span.set_status(Status(StatusCode.ERROR, "internal"))


_: tuple[type[Filter], type[Filter]] = (Trace, Span)
