"""One trace from the client through the edge to the central tier, exported over OTLP."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.scenarios.world import CONFIDENT, UNSURE, World

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER = (("traceparent", f"00-{TRACE_ID}-b7ad6b7169203331-01"),)


class Collector:
    """An OTLP/HTTP collector that keeps the spans it is sent, as (role, name, trace, parent, span)."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str, str, str, str]] = []

    async def take(self, request: web.Request) -> web.Response:
        export = ExportTraceServiceRequest.FromString(await request.read())
        for resource in export.resource_spans:
            attributes = {entry.key: entry.value.string_value for entry in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    ids = (span.trace_id.hex(), span.parent_span_id.hex(), span.span_id.hex())
                    self.spans.append((attributes["edgeway.role"], span.name, *ids))
        return web.Response()


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_one_trace_through_both_tiers(tmp_path: Path, aiohttp_collector, protocol: str) -> None:
    """The central tier's span is a child of the edge's upstream span, which is in the caller's trace."""
    collector, url = aiohttp_collector

    async with World(tmp_path, protocol=protocol, otlp=url) as world:
        await world.ask(UNSURE, trace=CALLER)

    assert {trace for _, _, trace, _, _ in collector.spans} == {TRACE_ID}
    by_name = {(role, name): (parent, span) for role, name, _, parent, span in collector.spans}
    assert {name for role, name in by_name if role == "edge"} == {
        "infer",
        "admission",
        "residency",
        "deadline",
        "cache",
        "cascade",
        "edge_model",
        "retry",
        "upstream",
    }
    assert by_name["edge", "infer"][0] == "b7ad6b7169203331"
    assert by_name["central", "infer"][0] == by_name["edge", "upstream"][1]


async def test_tracing_is_turned_off_and_on(tmp_path: Path, aiohttp_collector) -> None:
    """While it is off the collector hears of no request of the edge's, though the caller is traced."""
    collector, url = aiohttp_collector

    async with World(tmp_path, otlp=url) as world:
        await world.edge.extensions.tracing.change({"trace_level": ["OFF"]})
        await world.ask(UNSURE, trace=CALLER)
        await world.edge.extensions.tracing.change({"trace_level": ["TIMESTAMPS"]})
        await world.ask(CONFIDENT)

    assert collector.spans
    assert TRACE_ID not in {trace for _, _, trace, _, _ in collector.spans}


async def test_dead_collector_harms_nobody(tmp_path: Path) -> None:
    """Answers come as ever, and the process still ends within a few seconds."""
    async with World(tmp_path, otlp="http://127.0.0.1:9") as world:
        async with asyncio.timeout(8):
            assert (await world.ask(UNSURE)).provenance.origin == "central"
        began = asyncio.get_running_loop().time()

    assert asyncio.get_running_loop().time() - began < 25


@pytest.fixture
async def aiohttp_collector():
    """A collector and its URL."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield collector, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()
