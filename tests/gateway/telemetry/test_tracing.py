"""OpenTelemetry spans and W3C context."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.core.errors import Fault, GatewayError
from gateway.telemetry.tracing import Sampling, Span, Trace, shut_down, tracer_provider
from tests.fakes.service import ScriptedService, answer, request
from tests.fakes.stack import stack

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Where finished spans end up."""
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter):
    """A tracer whose spans are exported at once."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("test")


class StuckExporter(InMemorySpanExporter):
    """An exporter whose collector does not answer before ``answers`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = threading.Event()

    def export(self, spans):
        self.answers.wait()
        return super().export(spans)


async def test_last_spans_are_sent(exporter, caplog) -> None:
    """Those that the collector has not got yet, as long as it takes them."""
    provider = tracer_provider("here", "edge", "http://127.0.0.1:9", exporter=exporter)
    with provider.get_tracer("test").start_as_current_span("last"):
        pass

    await shut_down(provider, 60.0)

    assert [span.name for span in exporter.get_finished_spans()] == ["last"]
    assert caplog.records == []


async def test_collector_that_hangs_holds_nobody_up(caplog) -> None:
    """What it does not take in time is lost, and the log says so."""
    exporter = StuckExporter()
    provider = tracer_provider("here", "edge", "http://127.0.0.1:9", exporter=exporter)
    with provider.get_tracer("test").start_as_current_span("last"):
        pass
    try:
        async with asyncio.timeout(20):
            await shut_down(provider, 0.01)
        assert not exporter.get_finished_spans()
    finally:
        exporter.answers.set()
    assert "did not take the last spans within 0.01 s" in caplog.text


@pytest.mark.parametrize("accepts", [True, False])
async def test_collector_behind_a_socket(accepts: bool, caplog) -> None:
    """One that accepts and never answers, and one to which no connection comes about."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as collector, socket.socket() as filling:
        if not accepts:
            filling.connect(collector.getsockname())
        provider = tracer_provider("here", "edge", f"http://127.0.0.1:{collector.getsockname()[1]}")
        with provider.get_tracer("test").start_as_current_span("last"):
            pass
        async with asyncio.timeout(20):
            await shut_down(provider, 0.1)
    assert "did not take the last spans" in caplog.text


async def test_spans_nest_under_the_callers_trace_and_reach_the_upstream(tracer, exporter) -> None:
    """The caller's trace goes in, each layer is a child, and the upstream sees the innermost as parent."""
    service = ScriptedService(answer("central"))
    traced = stack(
        Trace(tracer), Span(tracer, "cache"), Span(tracer, "upstream", outward=True), service=service
    )

    await traced(request(trace=(("traceparent", PARENT),)))

    upstream, cache, server = exporter.get_finished_spans()
    assert [span.name for span in (server, cache, upstream)] == ["infer", "cache", "upstream"]
    assert f"{server.context.trace_id:032x}" == PARENT.split("-")[1]
    assert f"{server.parent.span_id:016x}" == PARENT.split("-")[2]
    assert cache.parent.span_id == server.context.span_id
    assert upstream.parent.span_id == cache.context.span_id
    sent = dict(service.requests[0].trace)["traceparent"]
    assert sent == f"00-{server.context.trace_id:032x}-{upstream.context.span_id:016x}-01"
    assert server.attributes["edgeway.provenance"] == "central"


B3_TRACE, B3_SPAN = "80f198ee56343ba864fe8b2a57d3eff7", "e457b5a2e4d86bd1"
SINGLE = (("b3", f"{B3_TRACE}-{B3_SPAN}-1-05e3ac9a4f6e3b90"),)
MULTI = (("x-b3-traceid", B3_TRACE), ("x-b3-spanid", B3_SPAN), ("x-b3-flags", "1"))


@pytest.mark.parametrize("sent", [SINGLE, MULTI, (*SINGLE, *MULTI)], ids=["single", "multi", "both"])
async def test_a_trace_of_b3_goes_on(tracer, exporter, sent) -> None:
    """Our spans are in it, and the upstream gets it in each form in which it came, with ours as the parent."""
    service = ScriptedService(answer("central"))
    traced = stack(Trace(tracer), Span(tracer, "upstream", outward=True), service=service)

    await traced(request(trace=(*sent, ("baggage", "k=v"), ("x-request-id", "r-1"))))

    upstream, server = exporter.get_finished_spans()
    assert (f"{server.context.trace_id:032x}", f"{server.parent.span_id:016x}") == (B3_TRACE, B3_SPAN)
    assert server.attributes["http.request.header.x-request-id"] == ("r-1",)
    own = f"{upstream.context.span_id:016x}"
    single = {"b3": f"{B3_TRACE}-{own}-1"} if SINGLE[0] in sent else {}
    multi = {"x-b3-traceid": B3_TRACE, "x-b3-spanid": own, "x-b3-sampled": "1"} if MULTI[0] in sent else {}
    assert dict(service.requests[0].trace) == {
        "traceparent": f"00-{B3_TRACE}-{own}-01",
        **single,
        **multi,
        "baggage": "k=v",
        "x-request-id": "r-1",
    }


async def test_w3c_counts_before_b3(tracer, exporter) -> None:
    """A B3 trace that is not recorded is not, and one that says nothing usable begins none."""
    traced = stack(Trace(tracer), service=ScriptedService(*[answer("central")] * 3))

    await traced(request(trace=(("traceparent", PARENT), *SINGLE)))
    await traced(request(trace=(("b3", f"{B3_TRACE}-{B3_SPAN}-0"),)))
    await traced(request(trace=(("b3", "1"),)))

    first, last = exporter.get_finished_spans()
    assert f"{first.context.trace_id:032x}" == PARENT.split("-")[1]
    assert last.parent is None
    assert f"{last.context.trace_id:032x}" != B3_TRACE


async def test_request_without_context_begins_a_trace(tracer, exporter) -> None:
    """No traceparent, or a broken one, starts a new trace instead of failing."""
    await Trace(tracer)(request(trace=(("traceparent", "garbage"),)), ScriptedService())

    (span,) = exporter.get_finished_spans()
    assert span.parent is None


async def test_fault_marks_the_spans(tracer, exporter) -> None:
    """A failure is an error on every span above it, named by its fault, without a traceback."""
    failing = ScriptedService(GatewayError(Fault.UNAVAILABLE, "down"))

    with pytest.raises(GatewayError):
        await stack(Trace(tracer), Span(tracer, "retry"), service=failing)(request())

    for span in exporter.get_finished_spans():
        assert span.status.description == "unavailable"
        assert not span.events


def test_provider_names_the_service() -> None:
    """What is exported says which region and role it comes from."""
    exporter = InMemorySpanExporter()
    provider = tracer_provider("eu-west", "edge", "http://127.0.0.1:4318", exporter=exporter)

    with provider.get_tracer("t").start_as_current_span("x"):
        pass
    provider.shutdown()

    (span,) = exporter.get_finished_spans()
    assert span.resource.attributes["service.name"] == "edgeway"
    assert span.resource.attributes["edgeway.region"] == "eu-west"


@pytest.mark.parametrize(
    ("failure", "server", "layer"),
    [
        (GatewayError(Fault.INVALID, "bad"), None, "invalid"),
        (GatewayError(Fault.INTERNAL, "broken"), "internal", "internal"),
        (KeyError("a bug"), "internal", "internal"),
        (asyncio.CancelledError(), None, None),
    ],
    ids=["client's mistake", "fault", "bug", "cancelled"],
)
async def test_each_end_has_its_status(
    tracer, exporter, failure: BaseException, server: str | None, layer: str | None
) -> None:
    """Bugs are errors too; a client's own mistake, or its leaving, is none of the server's."""
    with pytest.raises(type(failure)):
        await stack(Trace(tracer), Span(tracer, "retry"), service=ScriptedService(failure))(request())

    inner, outer = exporter.get_finished_spans()
    assert (outer.status.description, inner.status.description) == (server, layer)


async def test_sampling_changes_while_requests_come(exporter) -> None:
    """None, all, or one in so many by trace id; a caller's own choice counts, but not against none."""
    sampling = Sampling()
    provider = TracerProvider(sampling, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traced, service = Trace(provider.get_tracer("test")), ScriptedService()

    async def spans(one_in: int, *, parent: str = "", times: int = 1) -> int:
        sampling.sample(one_in)
        exporter.clear()
        for _ in range(times):
            await traced(request(trace=(("traceparent", parent),) if parent else ()), service)
        return len(exporter.get_finished_spans())

    assert await spans(1) == 1
    assert await spans(0) == await spans(0, parent=PARENT) == 0
    assert await spans(1_000_000, parent=PARENT) == 1
    assert 0 < await spans(2, times=64) < 64
    assert repr(sampling).startswith("<Sampling by ParentBased")
