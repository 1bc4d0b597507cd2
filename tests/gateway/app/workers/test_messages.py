"""The messages between the processes of one gateway."""

from __future__ import annotations

from pathlib import Path

from gateway.admin.listener import AdminListener
from gateway.app.workers.ipc import call
from gateway.app.workers.messages import SharedTracing, count_routes, decode_counts, encode_counts, model_path
from gateway.core.statistics import Counted
from gateway.telemetry.trace_settings import TraceSettings
from tests.fakes.operator import Counts, executions, nothing


async def test_what_was_counted_arrives(tmp_path: Path) -> None:
    """One process calls another over the route, and reads what that one has counted."""
    listener = AdminListener(health=nothing, metrics=nothing, policy=nothing, more=count_routes(Counts(3)))
    await listener.start_at(str(tmp_path / "one.sock"))

    counted = decode_counts(await call(tmp_path / "one.sock", "/statistics", limit_s=30))
    await listener.aclose()

    assert executions(counted) == executions(await Counts(3).counted()) > 0
    assert decode_counts(encode_counts(Counted())).parts() == []


def test_a_name_cannot_lead_to_another_path() -> None:
    """Models have names as their owners like them."""
    assert model_path("a/../b?c", "load") == "/v2/repository/models/a%2F..%2Fb%3Fc/load"


async def test_settings_are_read_here_and_changed_everywhere() -> None:
    """A change goes through the function that reaches all workers, and not into this one's settings."""
    sent = []

    async def change(wanted):
        sent.append(wanted)
        return {"trace_rate": ["7"]}

    tracing = SharedTracing(TraceSettings(), change)

    assert await tracing.change({"trace_rate": ["7"]}) == {"trace_rate": ["7"]}
    assert sent == [{"trace_rate": ["7"]}]
    assert tracing.read()["trace_rate"] == ["1"]
    assert repr(tracing) == "<SharedTracing like <TraceSettings OFF, one of 1>>"
