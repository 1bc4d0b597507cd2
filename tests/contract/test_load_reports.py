"""How loaded a central tier is reaches the gateways that send it requests, over each wire, and nobody else."""

from __future__ import annotations

import pytest

from gateway.core.errors import Fault, GatewayError
from tests.fakes.data_plane import EchoService, fake_data_plane
from tests.fakes.listener import listener_of
from tests.fakes.service import ScriptedService, request
from tests.fakes.tls import PROTOCOLS, KeptLoad, upstream_of
from tests.fakes.upstreams import fails

REPORT = b"TEXT application_utilization=0.75, cpu_utilization=0.5"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_gateway_that_asks_is_answered(protocol):
    """With each answer; one that does not ask gets answers as before."""
    asked = []

    def load() -> bytes:
        asked.append(1)
        return REPORT

    listener = listener_of(fake_data_plane(EchoService(), load=load))
    await listener.start("127.0.0.1", 0)
    kept = KeptLoad()
    async with upstream_of(protocol, listener.port, on_load=kept) as upstream:
        for _ in range(2):
            assert (await upstream(request())).outputs
    async with upstream_of(protocol, listener.port) as upstream:
        assert (await upstream(request())).outputs
    await listener.aclose()

    assert [(report.application, report.cpu) for report in kept.reports] == [(0.75, 0.5)] * 2
    assert len(asked) == 2
    assert not kept.refusals


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_refusal_says_how_long(protocol):
    """Overload is no evidence against the endpoint, and makes it less attractive."""
    refusal = GatewayError(Fault.OVERLOADED, "full", retry_after_s=7.0)
    listener = listener_of(fake_data_plane(ScriptedService(refusal), load=lambda: REPORT))
    await listener.start("127.0.0.1", 0)
    kept = KeptLoad()
    async with upstream_of(protocol, listener.port, on_load=kept) as upstream:
        error = await fails(upstream(request()))
    await listener.aclose()

    assert (error.fault, error.counts) == (Fault.OVERLOADED, False)
    assert kept.refusals == [7.0]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_process_without_a_report_answers_as_before(protocol):
    """Also other forms than text are not answered."""
    listener = listener_of(fake_data_plane(EchoService()))
    await listener.start("127.0.0.1", 0)
    kept = KeptLoad()
    async with upstream_of(protocol, listener.port, on_load=kept) as upstream:
        assert (await upstream(request())).outputs
    await listener.aclose()
    assert not kept.reports
