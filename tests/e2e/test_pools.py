"""Three central tiers as one endpoint: real processes, real sockets, one of them killed, one name that moves."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from edge_models.samples import digits
from gateway.core.errors import GatewayError
from gateway.core.request import Response
from loadtests.faults.faulty_member import Fault, FaultyMember
from resilience.settings import BreakerSettings, ResilienceSettings
from tests.fakes.redis_server import free_port
from tests.gateway.app.pools.scene import Resolver, member, names, text
from tests.gateway.app.workshop import Workshop
from tests.scenarios.world import picture

HANG_S = 180

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
        async with aiohttp.ClientSession() as session, asyncio.timeout(HANG_S):
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
        self.lost: list[GatewayError] = []
        self.is_cut = False
        self.answered = 0

    async def ask(self) -> Response:
        deadline = asyncio.get_running_loop().time() + 60
        return await self.workshop.in_force.current()(picture(0, deadline=deadline))

    async def client(self, is_over: Callable[[], bool]) -> None:
        """Ask again and again; ``lost`` are failures of requests that began after the ``cut``."""
        while not is_over():
            is_after = self.is_cut
            try:
                await self.ask()
                self.answered += 1
            except GatewayError as error:
                self.failed.append(error)
                if is_after:
                    self.lost.append(error)

    @asynccontextmanager
    async def clients(self, number: int) -> AsyncIterator[None]:
        """So many of them until the block ends, which it does in time or not at all."""
        is_over = asyncio.Event()
        async with asyncio.timeout(HANG_S), asyncio.TaskGroup() as group:
            for _ in range(number):
                group.create_task(self.client(is_over.is_set))
            try:
                yield
            finally:
                is_over.set()

    async def until_answered(self, more: int) -> None:
        """Wait until so many more requests have been answered."""
        least = self.answered + more
        await until(lambda: self.answered >= least)


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.01)


async def test_a_killed_member_loses_no_more_than_what_was_under_way_there(tiers: list[Tier]) -> None:
    """And of that no more than the retry budget cannot carry; the member is out; back, it serves again."""
    await asyncio.gather(*(tier.ready() for tier in tiers))
    edge = Edge()
    pool = edge.workshop.enforce(
        text(*(tier.address for tier in tiers), more="load_balancing: {slow_start_window_s: 0}")
    ).endpoints.by_name["central"]
    killed = member(pool, tiers[0].address)
    async with edge.clients(8):
        await edge.until_answered(30)
        await until(lambda: all(each.parts.meter.requests > 0 for each in pool.members))
        await asyncio.to_thread(tiers[0].kill)
        edge.is_cut = True
        await edge.until_answered(100)

    # Retries at a time: 20 % of the requests, and 3.
    assert len(edge.failed) <= 8 - 3
    assert edge.lost == []
    edge.failed.clear()
    failures = killed.parts.meter.failures
    assert 0 < failures <= 8 + 5, "those under way, and what the breaker needs"
    assert sum(each.parts.meter.failures for each in pool.members) == failures
    tiers[0].start()
    await tiers[0].ready()
    before = killed.parts.meter.requests
    async with edge.clients(1):
        await until(lambda: killed.parts.meter.requests >= before + 5)
    assert killed.parts.health.state == "closed"
    assert edge.failed == []
    await edge.workshop.aclose()


async def test_a_lost_region_costs_what_was_under_way_there(tiers: list[Tier]) -> None:
    """All that comes later is answered by another region, however many at once find nobody at home."""
    await asyncio.gather(*(tier.ready() for tier in tiers))
    edge = Edge()
    here = [tier.address for tier in tiers[:2]]
    policy = text(*here).replace("127.0.0.1:99", tiers[2].address)
    by_name = edge.workshop.enforce(policy).endpoints.by_name
    async with edge.clients(8):
        await edge.until_answered(30)
        before = by_name["spare"].members[0].parts.meter.requests
        await asyncio.gather(*(asyncio.to_thread(tier.kill) for tier in tiers[:2]))
        edge.is_cut = True
        outcomes = await asyncio.gather(*(edge.ask() for _ in range(40)), return_exceptions=True)
        await edge.until_answered(60)

    assert [outcome for outcome in outcomes if isinstance(outcome, BaseException)] == []
    assert edge.lost == []
    assert len(edge.failed) <= 8
    assert before == 0
    assert by_name["spare"].members[0].parts.meter.requests >= 100
    await edge.workshop.aclose()


async def test_a_storm_of_503_is_left_alone(tiers: list[Tier]) -> None:
    """A fast refusal does not attract requests, and none is lost; when it is over the member serves again."""
    await asyncio.gather(*(tier.ready() for tier in tiers))
    edge = Edge()
    stormy = FaultyMember("127.0.0.4", free_port(), int(tiers[0].address.rpartition(":")[2]))
    await stormy.up()
    more = (
        "load_balancing: {slow_start_window_s: 0}, "
        "health_check: {interval_s: 0.2, unhealthy_threshold: 2, initial_jitter_s: 0.1}"
    )
    addresses = [stormy.address, *(tier.address for tier in tiers[1:])]
    pool = edge.workshop.enforce(text(*addresses, more=more)).endpoints.by_name["central"]
    async with edge.clients(4):
        await until(lambda: len(stormy.came) > 5)
        stormy.fault = Fault.STORM
        await until(lambda: member(pool, stormy.address).parts.health.state == "open")
        before = len(stormy.came)
        await edge.until_answered(200)
        during = len(stormy.came) - before
        stormy.fault = Fault.NONE
        await until(lambda: len(stormy.came) > before + during + 5)

    assert during <= 10, "5 % of what was answered meanwhile"
    assert edge.failed == []
    await edge.workshop.aclose()
    await stormy.down()


async def test_a_name_that_moves_takes_its_requests_along(tiers: list[Tier]) -> None:
    """Members come and go with the name, with connections of their own; no request is lost."""
    await asyncio.gather(*(tier.ready() for tier in tiers))
    resolver = Resolver(**{"central.test": ["127.0.0.1", "127.0.0.2"]})
    edge = Edge(resolver)
    port = tiers[0].address.rpartition(":")[2]
    pool = edge.workshop.enforce(text(f"central.test:{port}")).endpoints.by_name["central"]
    moved = [f"central.test:{port}/127.0.0.{number}" for number in (2, 3)]
    async with edge.clients(2):
        await edge.until_answered(10)
        await until(lambda: all(each.parts.meter.requests > 0 for each in pool.members))
        first = pool.members
        assert names(pool) == [f"central.test:{port}/127.0.0.{number}" for number in (1, 2)]
        resolver.answers["central.test"] = ["127.0.0.2", "127.0.0.3"]
        await until(lambda: names(pool) == moved and pool.members[1].parts.meter.requests > 0)
        await until(lambda: "closed" in repr(first[0].parts.upstream))

    assert pool.members[0] is first[1]
    assert edge.failed == []
    await edge.workshop.aclose()
