"""Three central tiers as one endpoint: real processes, real sockets, one of them killed, one name that moves."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from edge_models.samples import digits
from gateway.core.errors import GatewayError
from gateway.core.request import Response
from resilience.settings import BreakerSettings, ResilienceSettings
from tests.fakes.redis_server import free_port
from tests.gateway.app.pools.scene import Resolver, member, names, text
from tests.gateway.app.workshop import Workshop
from tests.scenarios.world import picture

CENTRAL = """\
role: central
region: here
listen: {{http: '{host}:{port}', grpc: null, admin: null}}
models: {{repository: '{repository}'}}
resilience: {{drain: {{drain_time_s: 0, drain_timeout_s: 5}}}}
"""


class Tier:
    """A central tier in a process of its own."""

    def __init__(self, folder: Path, host: str, port: int) -> None:
        self.address = f"{host}:{port}"
        self._settings = folder / f"{host}-{port}.yaml"
        self._settings.write_text(CENTRAL.format(host=host, port=port, repository=digits.CENTRAL_REPOSITORY))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "gateway", "serve", str(self._settings)]
        self._process = subprocess.Popen(command)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def ready(self) -> None:
        """Wait until it serves."""
        url = f"http://{self.address}/v2/health/ready"
        async with aiohttp.ClientSession() as session, asyncio.timeout(60):
            while True:
                try:
                    async with session.get(url) as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    await asyncio.sleep(0.1)


@pytest.fixture
def tiers(tmp_path: Path) -> Iterator[list[Tier]]:
    """Two at addresses of their own with one port, and a third."""
    port = free_port()
    found = [Tier(tmp_path, "127.0.0.1", port), Tier(tmp_path, "127.0.0.2", port)]
    found.append(Tier(tmp_path, "127.0.0.3", port))
    for tier in found:
        tier.start()
    yield found
    for tier in found:
        tier.kill()


class Edge:
    """The endpoints of an edge gateway in this process, over real connections."""

    def __init__(self, resolver: Resolver | None = None) -> None:
        settings = ResilienceSettings(breaker=BreakerSettings(base_ejection_time_s=0.25))
        self.workshop = Workshop(settings, look_up=resolver or Resolver())
        self.failed: list[GatewayError] = []
        self.answered = 0

    async def ask(self) -> Response:
        deadline = asyncio.get_running_loop().time() + 10
        return await self.workshop.in_force.current()(picture(0, deadline=deadline))

    async def client(self, until: float) -> None:
        while time.monotonic() < until:
            try:
                await self.ask()
                self.answered += 1
            except GatewayError as error:
                self.failed.append(error)


async def test_a_killed_member_loses_no_more_than_what_was_under_way_there(tiers: list[Tier]) -> None:
    """And of that no more than the retry budget cannot carry; the member is out; back, it serves again."""
    await asyncio.gather(*(tier.ready() for tier in tiers))
    edge = Edge()
    pool = edge.workshop.enforce(
        text(*(tier.address for tier in tiers), more="load_balancing: {slow_start_window_s: 0}")
    ).endpoints.by_name["central"]
    ends = time.monotonic() + 3
    clients = [asyncio.create_task(edge.client(ends)) for _ in range(8)]
    await asyncio.sleep(1)
    assert all(each.parts.meter.requests > 0 for each in pool.members)

    killed = member(pool, tiers[0].address)
    await asyncio.to_thread(tiers[0].kill)
    await asyncio.gather(*clients)

    # Retries at a time: 20 % of the requests, and 3.
    assert len(edge.failed) <= 8 - 3
    edge.failed.clear()
    assert edge.answered > 50
    failures = killed.parts.meter.failures
    assert 0 < failures <= 8 + 5, "those under way, and what the breaker needs"
    assert sum(each.parts.meter.failures for each in pool.members) == failures
    tiers[0].start()
    await tiers[0].ready()
    before = killed.parts.meter.requests
    async with asyncio.timeout(60):
        while killed.parts.meter.requests < before + 5:
            await edge.client(time.monotonic() + 0.5)
    assert killed.parts.health.state == "closed"
    assert edge.failed == []
    await edge.workshop.aclose()


async def test_a_name_that_moves_takes_its_requests_along(tiers: list[Tier]) -> None:
    """Members come and go with the name, with connections of their own; no request is lost."""
    await asyncio.gather(*(tier.ready() for tier in tiers))
    resolver = Resolver(**{"central.test": ["127.0.0.1", "127.0.0.2"]})
    edge = Edge(resolver)
    port = tiers[0].address.rpartition(":")[2]
    pool = edge.workshop.enforce(text(f"central.test:{port}")).endpoints.by_name["central"]
    ends = time.monotonic() + 7.5
    clients = [asyncio.create_task(edge.client(ends)) for _ in range(2)]
    await asyncio.sleep(1)
    first = pool.members
    assert names(pool) == [f"central.test:{port}/127.0.0.{number}" for number in (1, 2)]
    assert all(each.parts.meter.requests > 0 for each in first)

    resolver.answers["central.test"] = ["127.0.0.2", "127.0.0.3"]
    await asyncio.gather(*clients)

    assert names(pool) == [f"central.test:{port}/127.0.0.{number}" for number in (2, 3)]
    assert pool.members[0] is first[1]
    assert pool.members[1].parts.meter.requests > 0
    assert edge.failed == []
    assert "closed" in repr(first[0].parts.upstream)
    await edge.workshop.aclose()
