"""Two replicas of central behind real sockets, one of them slow: the other answers, and nobody is blamed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.scenarios.world import POLICY, UNSURE, World, until

HEDGED = POLICY.replace(
    "address: '127.0.0.1:{port}', attempt_timeout_ms: 1000",
    "addresses: ['127.0.0.1:{port}', '127.0.0.1:SLOW'], load_balancing: {{policy: round_robin}}, "
    "attempt_timeout_ms: 20000",
).replace("  timeout_ms: 5000\n", "  timeout_ms: 20000\n  num_retries: 1\n  hedge: HEDGE\n")
HEDGED = HEDGED.replace("  digest: {digest}\n", "").replace("  cascade: {{on_central_down: {down}}}\n", "")


class Passage:
    """A way to a replica that can be held up: what comes back waits until it is let go."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.flows = asyncio.Event()
        self.flows.set()
        self.connections = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        back, forth = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await asyncio.gather(self._pump(reader, forth, False), self._pump(back, writer, True))
        finally:
            self.connections -= 1
            self._tasks.discard(task)
            writer.close()
            forth.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, waits: bool) -> None:
        while data := await source.read(65536):
            if waits:
                await self.flows.wait()
            sink.write(data)
            await sink.drain()
        sink.close()


@asynccontextmanager
async def replicas(
    folder: Path, protocol: str, hedge: str = "{{delay_ms: 20, budget_percent: 100}}"
) -> AsyncIterator[tuple[World, Passage]]:
    """An edge with two ways to central, one of which may be held up."""
    world = World(folder)
    port = world.central_ports["grpc" if protocol == "grpc" else "http"]
    relay = Passage(port)
    async with relay.listening() as slow:
        text = HEDGED.replace("SLOW", str(slow)).replace("HEDGE", hedge)
        world.write_policy(1, text, port=port, protocol=protocol)
        async with world:
            yield world, relay


def hedges(world: World, outcome: str) -> float:
    return world.metric(f'edgeway_hedges_total{{outcome="{outcome}"}}')


@pytest.mark.parametrize("protocol", ["grpc", "http", "h2"])
async def test_the_other_replica_answers(tmp_path: Path, protocol: str) -> None:
    """Each of ten requests, whichever replica it begins at; the slow one is not held to be broken."""
    async with replicas(tmp_path, protocol) as (world, relay):
        for _ in range(2):
            await world.ask(UNSURE)
        relay.flows.clear()

        answers = [await world.ask(number) for number in range(10)]

        assert {answer.provenance.origin for answer in answers} == {"central"}
        assert hedges(world, "won") >= 1
        assert world.metric('edgeway_breaker_state{endpoint="central"}') == 0
        assert repr(world.edge.drain) == "<Drain ready, 0 running>"
        relay.flows.set()
        assert (await world.ask(UNSURE)).provenance.certified


async def test_a_caller_who_leaves_takes_both_attempts_along(tmp_path: Path) -> None:
    """Over HTTP/1.1, whose connection cannot be used again: it is closed, at both replicas."""
    async with replicas(tmp_path, "http") as (world, relay):
        for _ in range(4):
            await world.ask(UNSURE)
        before = relay.connections
        relay.flows.clear()

        call = asyncio.ensure_future(world.ask(UNSURE))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

        await until(lambda: relay.connections <= before)
        assert world.metric('edgeway_breaker_state{endpoint="central"}') == 0
        assert repr(world.edge.drain) == "<Drain ready, 0 running>"
        relay.flows.set()
        assert (await world.ask(UNSURE)).provenance.certified


async def test_without_a_hedge_the_slow_replica_holds_its_requests(tmp_path: Path) -> None:
    """What the layer is worth: with a hedge that never comes half of the requests wait."""
    async with replicas(tmp_path, "grpc", "{{delay_ms: 19000}}") as (world, relay):
        await world.ask(UNSURE)
        relay.flows.clear()

        calls = [asyncio.ensure_future(world.ask(number)) for number in range(8)]
        await until(lambda: sum(call.done() for call in calls) == 4)
        relay.flows.set()
        await asyncio.gather(*calls)

        assert hedges(world, "won") == 0
