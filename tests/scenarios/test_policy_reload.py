"""A policy reload under traffic: one reference is swapped, nobody notices."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.scenarios.world import CONFIDENT, POLICY, UNSURE, World


async def test_changed_file_comes_into_force_under_load(tmp_path: Path) -> None:
    """Requests before, during and after the swap are all answered; the generation moves on."""
    async with World(tmp_path) as world:
        stop = asyncio.Event()
        generations: set[int] = set()

        async def client(offset: int) -> int:
            count = 0
            while not stop.is_set():
                generation = world.edge.generation()
                generations.add(generation.number)
                await world.ask(CONFIDENT + offset + count % 50)
                count += 1
                await asyncio.sleep(0)
            return count

        async with asyncio.TaskGroup() as group:
            clients = [group.create_task(client(offset)) for offset in range(4)]
            await asyncio.sleep(0.1)
            world.write_policy(2, down="fail")
            await world.in_force(2)
            await asyncio.sleep(0.1)
            stop.set()

        assert generations == {1, 2}
        assert all(task.result() > 10 for task in clients)


async def test_broken_policy_leaves_service_as_it_is(tmp_path: Path) -> None:
    """The last good policy serves on; health and metrics say that the new one was refused."""
    async with World(tmp_path) as world:
        world.write_policy(2, text=POLICY + "colour: blue\n")
        async with asyncio.timeout(30):
            while not world.edge.health()["policy"]["error"]:
                await asyncio.sleep(0.05)

        health = world.edge.health()
        assert health["ready"]
        assert "colour" in health["policy"]["error"]
        assert world.metric("edgeway_policy_generation") == 1
        assert world.metric('edgeway_policy_loads_total{outcome="refused"}') == 1
        assert (await world.ask(UNSURE)).provenance.origin == "central"
