"""Two regions: what is hot in one is warm in the other, and what may not be seen there never gets there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Final

import aiohttp
import pytest

from gateway.app.gateway import Gateway
from gateway.app.process import GatewayProcess
from gateway.config.settings import load_settings
from gateway.core.cache_levels import L1, WARM
from gateway.core.request import Caller
from tests.fakes.redis_server import free_port
from tests.scenarios.world import EDGE, POLICY, World, digits, picture, until

IMAGES: Final = 120
LOCAL = Caller(tenant="local", vouched=True)
LEAKY = ("only-here: {{regions: [here]}}", "only-here: {{regions: [here, there]}}")
"""The class as a policy has it by which its answers may be seen in both regions."""


class Regions:
    """``here`` offers what is hot to ``there``. Both ask the same central tier; each has a policy of its own."""

    def __init__(self, folder: Path, central: World) -> None:
        self.folder, self.central = folder, central
        self.warming_port = free_port()
        self._lifetimes = {name: AsyncExitStack() for name in ("here", "there")}
        self.open: dict[str, Gateway] = {}

    async def start(
        self, region: str, policy: str = POLICY, *, secret: str = "ab" * 32, percent: int = 100
    ) -> None:
        self.central.write_policy(1, policy)
        (self.folder / "policy.yaml").rename(self.folder / f"{region}-policy.yaml")
        warming = (
            f"listen: '127.0.0.1:{self.warming_port}'"
            if region == "there"
            else f"to: {{there: 'http://127.0.0.1:{self.warming_port}'}}, every_s: 0.05, percent: {percent}"
        )
        cache = f"\n  key_secret: {secret}\n  warming: {{{warming}}}"
        text = EDGE.format(repository=digits.EDGE_REPOSITORY, redis=cache)
        text = text.replace("region: here", f"region: {region}").replace(
            "policy.yaml", f"{region}-policy.yaml"
        )
        (self.folder / f"{region}.yaml").write_text(text)
        process = GatewayProcess(load_settings(self.folder / f"{region}.yaml", {}))
        self.open[region] = await self._lifetimes[region].enter_async_context(process.serving())

    async def stop(self, region: str) -> None:
        self.open.pop(region, None)
        await self._lifetimes[region].aclose()

    async def ask(self, region: str, images: Sequence[int], caller: Caller | None = None) -> list[str]:
        """Ask for these images, one after the other, and return the level of each answer."""
        gateway, found = self.open[region], []
        for image in images:
            changes = {} if caller is None else {"caller": caller}
            request = picture(image, deadline=gateway.clock.now() + 30, **changes)
            found.append((await gateway.generation()(request)).provenance.level)
        return found

    def count(self, region: str, outcome: str) -> float:
        """Keys with this outcome, as the region's metrics have it."""
        lines = self.open[region].prometheus.render().decode()
        name = rf'^edgeway_cache_warming_keys_total{{neighbour="\w*",outcome="{outcome}"}} (\S+)$'
        return sum(map(float, re.findall(name, lines, re.MULTILINE)))


@asynccontextmanager
async def regions(folder: Path) -> AsyncIterator[Regions]:
    """The two, none of them started."""
    central = World(folder)
    await central.start_central()
    both = Regions(folder, central)
    try:
        yield both
    finally:
        await both.stop("here")
        await both.stop("there")
        await central.stop_central()


def requests_like_zipf(chance: Random, count: int) -> list[int]:
    """Images by their popularity: a few are requested again and again, most of them rarely."""
    return chance.choices(range(IMAGES), [1 / (rank + 1) ** 0.9 for rank in range(IMAGES)], k=count)


def ratio(levels: Sequence[str]) -> float:
    return sum(level in {L1, WARM} for level in levels) / len(levels)


@pytest.mark.parametrize("percent", [50, 70, 100])
async def test_after_the_loss_of_a_region_its_neighbour_is_warm(tmp_path: Path, percent: int) -> None:
    """Within 10 points of the lost region's hit ratio, from the first request on; 20 with half of the keys."""
    chance = Random(1)
    async with regions(tmp_path) as both:
        await both.start("there")
        await both.start("here", percent=percent)
        await both.ask("here", requests_like_zipf(chance, 400))
        before = ratio(await both.ask("here", requests_like_zipf(chance, 200)))
        await until(lambda: both.count("there", "kept") >= percent * IMAGES // 100 * 0.9)
        await both.stop("here")
        after = await both.ask("there", requests_like_zipf(chance, 200))

        assert before > 0.9
        # Hits are counted up to three: which half is the hotter one is known roughly.
        assert ratio(after) >= before - (0.1 if percent > 50 else 0.2)
        # The first time an answer comes from what was sent, and then from L1.
        assert WARM in after
        assert (await both.ask("there", [0, 0]))[1] == L1


async def test_without_it_the_neighbour_is_cold(tmp_path: Path) -> None:
    """The other test would fail where nothing is sent: here the neighbour has another secret."""
    chance = Random(1)
    async with regions(tmp_path) as both:
        await both.start("there", secret="cd" * 32)
        await both.start("here")
        await both.ask("here", requests_like_zipf(chance, 200))
        await until(lambda: both.count("there", "stranger"))
        after = await both.ask("there", list(range(30)))

        assert ratio(after) == 0.0
        assert not both.count("there", "kept") and not both.count("here", "sent")


@pytest.mark.parametrize(
    ("sender_leaks", "receiver_leaks"), [(False, False), (False, True), (True, False), (True, True)]
)
async def test_what_may_not_be_seen_there_never_gets_there(
    tmp_path: Path, sender_leaks: bool, receiver_leaks: bool
) -> None:
    """Either side's policy suffices to keep it here; with both rules off, the same answers are there."""
    async with regions(tmp_path) as both:
        await both.start("there", POLICY.replace(*LEAKY) if receiver_leaks else POLICY)
        await both.start("here", POLICY.replace(*LEAKY) if sender_leaks else POLICY)
        await both.ask("here", list(range(8)), LOCAL)
        refused, free = ("there" if sender_leaks else "here"), list(range(20, 24))
        await both.ask("here", free)
        await until(lambda: both.count("here", "sent") >= len(free))
        if sender_leaks and receiver_leaks:
            await until(lambda: both.count("there", "kept") == len(free) + 8)
            assert await both.ask("there", list(range(8)), LOCAL) == [WARM] * 8
            return
        await until(lambda: both.count(refused, "residency") >= 8)

        assert both.count("there", "kept") == both.count("here", "sent") == len(free)
        assert await both.ask("there", free) == [WARM] * len(free)


async def test_strangers_get_nothing_and_cost_a_head(tmp_path: Path) -> None:
    """Without a signature, and with one of another secret: refused before the body, however long it claims to be."""
    async with regions(tmp_path) as both:
        await both.start("there")
        reader, writer = await asyncio.open_connection("127.0.0.1", both.warming_port)
        head = "POST /warming/values HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n"
        writer.write(
            f"{head}x-edgeway-warming-from: here\r\nx-edgeway-warming: 1.{'0' * 64}.2\r\n\r\n".encode()
        )
        answered = await reader.read()
        writer.close()
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{both.warming_port}"
            statuses = [
                (await session.request(verb, url + path, data=b"x")).status
                for verb, path in (("POST", "/warming/offer"), ("GET", "/warming/offer"), ("GET", "/metrics"))
            ]

        assert b"403" in answered.partition(b"\r\n")[0]
        assert statuses == [403, 405, 404]
        assert both.count("there", "stranger") == 2


async def test_a_neighbour_that_is_away_costs_no_answer(tmp_path: Path) -> None:
    """It is offered again once it is back."""
    async with regions(tmp_path) as both:
        await both.start("here")
        await both.ask("here", list(range(4)))
        await until(lambda: 'outcome="failed"' in both.open["here"].prometheus.render().decode())
        assert ratio(await both.ask("here", list(range(4)))) == 1.0
        await both.start("there")
        await until(lambda: both.count("there", "kept") >= 4)

        assert await both.ask("there", list(range(4))) == [WARM] * 4
