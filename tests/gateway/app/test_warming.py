"""Assembly of warm fail-over: what opens, and which settings cannot be used. The whole of it:
tests/scenarios/test_warm_failover.py."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from cache.warming.level import WarmLevel
from gateway.app.errors import StartError
from gateway.app.gateway import open_gateway
from tests.cache.build import entry
from tests.fakes.redis_server import free_port
from tests.gateway.app.processes import EDGE, settings

MEMORY = "cache: {memory: {max_bytes: 1048576}}"


def with_warming(warming: str) -> str:
    return EDGE.replace(MEMORY, f"cache: {{key_secret: {'ab' * 32}, warming: {{{warming}}}}}")


@pytest.mark.parametrize(
    ("warming", "level"),
    [("listen: '127.0.0.1:PORT'", True), ("to: {us: 'http://127.0.0.1:1'}", False), ("", False)],
)
async def test_the_level_is_there_where_offers_are_taken(tmp_path: Path, warming: str, level: bool) -> None:
    """Where none are, no look-up pays for it. What a model's other version makes useless is forgotten."""
    text = with_warming(warming.replace("PORT", str(free_port())))
    async with AsyncExitStack() as lifetimes:
        gateway = await open_gateway(settings(tmp_path, text), None, lifetimes)
        report = await gateway.tier.cache.report(1)

    assert ("warm" in [each.level for each in report.levels]) is level


@pytest.mark.parametrize(
    ("warming", "why"),
    [
        ("listen: '192.0.2.1:9'", r"cache\.warming\.listen: 192\.0\.2\.1:9"),
        (
            "listen: '127.0.0.1:0', tls: {certificate: none.pem, key: none.pem}",
            r"cache\.warming\.tls: .*none",
        ),
        ("to: {us: 'https://a:1'}, ca: none.pem", r"cache\.warming\.ca: .*none\.pem"),
    ],
)
async def test_what_cannot_be_used_is_named(tmp_path: Path, warming: str, why: str) -> None:
    async with AsyncExitStack() as lifetimes:
        with pytest.raises(StartError, match=why):
            await open_gateway(settings(tmp_path, with_warming(warming)), None, lifetimes)


async def test_neighbours_that_are_none_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The own region, and one that the policy does not have."""
    caplog.set_level(logging.WARNING, "edgeway.warming")
    text = with_warming("to: {here: 'http://127.0.0.1:1', mars: 'http://127.0.0.1:1'}")
    async with AsyncExitStack() as lifetimes:
        await open_gateway(settings(tmp_path, text), None, lifetimes)

    said = "\n".join(caplog.messages)
    assert "'here' is this gateway's own region" in said and "'mars' is no region" in said


def test_a_level_of_neighbours_is_one() -> None:
    assert WarmLevel.is_shared and entry().regions == frozenset()
