"""A policy reload under traffic: one reference is swapped, and every request is answered."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.scenarios.world import CONFIDENT, POLICY, UNSURE, World, until


class Client:
    """Sends one request after the other, and notes under which generations."""

    def __init__(self, world: World, first: int) -> None:
        self._world, self._first = world, first
        self.is_over = False
        self.count = 0
        self.generations: set[int] = set()

    async def run(self) -> None:
        while not self.is_over:
            self.generations.add(self._world.edge.generation().number)
            await self._world.ask(self._first + self.count % 50)
            self.count += 1
            await asyncio.sleep(0)


async def test_changed_file_comes_into_force_under_load(tmp_path: Path) -> None:
    """Requests before, during and after the swap are all answered; the generation moves on."""
    async with World(tmp_path) as world, asyncio.TaskGroup() as group:
        clients = [Client(world, CONFIDENT + offset) for offset in range(4)]
        for client in clients:
            group.create_task(client.run())

        await until(lambda: all(client.count >= 10 for client in clients))
        world.write_policy(2, down="fail")
        await world.in_force(2)
        counts = [client.count for client in clients]
        await until(
            lambda: all(client.count >= before + 10 for client, before in zip(clients, counts, strict=True))
        )
        for client in clients:
            client.is_over = True

    assert all(client.generations == {1, 2} for client in clients)


async def test_broken_policy_leaves_service_as_it_is(tmp_path: Path) -> None:
    """The last good policy serves on; health and metrics say that the new one was refused."""
    async with World(tmp_path) as world:
        world.write_policy(2, text=POLICY + "colour: blue\n")
        await until(lambda: world.edge.health()["policy"]["error"])

        health = world.edge.health()
        assert health["ready"]
        assert "colour" in health["policy"]["error"]
        assert world.metric("edgeway_policy_generation") == 1
        assert world.metric('edgeway_policy_loads_total{outcome="refused"}') == 1
        assert (await world.ask(UNSURE)).provenance.origin == "central"
