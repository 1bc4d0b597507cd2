"""What a process of either role stands on."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from gateway.app.errors import StartError
from gateway.app.foundation import open_foundation
from gateway.app.workers.inheritance import Inheritance
from gateway.core.telemetry import RequestFinished
from gateway.http.server.tls import TlsSettings
from gateway.telemetry.tracing import Trace
from tests.gateway.app.processes import CENTRAL, EDGE, settings


async def test_ready_once_it_is_complete_and_until_it_drains(tmp_path: Path) -> None:
    """Both are one question to load balancers."""
    async with AsyncExitStack() as lifetimes:
        foundation = open_foundation(settings(tmp_path, EDGE), lifetimes)
        assert not foundation.is_ready()

        foundation.complete.set()
        assert foundation.is_ready()

        foundation.drain.begin()
        assert not foundation.is_ready()


@pytest.mark.parametrize(("text", "runs"), [(EDGE, 1), (CENTRAL, 0)])
async def test_answers_of_central_count_as_runs_at_an_edge_only(tmp_path: Path, text: str, runs: int) -> None:
    """At the central tier they are its own runs, which are counted where they happen."""
    async with AsyncExitStack() as lifetimes:
        foundation = open_foundation(settings(tmp_path, text), lifetimes)
        foundation.prometheus.emit(RequestFinished("digits", "central", "ok", 0.01, "1"))

        (part,) = (await foundation.statistics.counted()).parts()

    assert part.execution_count == runs


async def test_spans_only_with_a_collector(tmp_path: Path) -> None:
    """Without one there is no filter for them in any stack, and tracing cannot be turned on."""
    for endpoint, is_traced in (("", False), ("http://127.0.0.1:9", True)):
        wanted = settings(
            tmp_path, EDGE + (f"telemetry: {{otlp_endpoint: '{endpoint}'}}\n" if endpoint else "")
        )
        async with AsyncExitStack() as lifetimes:
            foundation = open_foundation(wanted, lifetimes)

            outermost = foundation.parts.observed.outermost()

        assert any(isinstance(layer.filter, Trace) for layer in outermost) is is_traced


async def test_a_certificate_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    """The message names the file."""
    made = settings(tmp_path, EDGE)
    tls = TlsSettings(certificate="absent.pem", key="a.key")
    listen = msgspec.structs.replace(made.listen, tls=tls)
    async with AsyncExitStack() as lifetimes:
        with pytest.raises(StartError, match=r"listen\.tls: absent\.pem"):
            open_foundation(msgspec.structs.replace(made, listen=listen), lifetimes)


@pytest.mark.parametrize(("count", "workers"), [(None, 1), (0, 1), (4, 4)])
async def test_how_many_serve_beside_each_other(tmp_path: Path, count: int | None, workers: int) -> None:
    """A parent that is older than this program does not say: then it is held to be alone."""
    inheritance = None
    if count is not None:
        inheritance = Inheritance(0, 0, {}, ready=1, lifeline=1, admin="", parent="", count=count)
    async with AsyncExitStack() as lifetimes:
        foundation = open_foundation(settings(tmp_path, EDGE), lifetimes, inheritance)

        assert foundation.workers == workers
