"""A second central tier as a shadow: real listeners, models and sockets; nobody waits for it."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.app.process import GatewayProcess
from gateway.config.settings import load_settings
from gateway.core.request import Caller
from tests.fakes.redis_server import free_port
from tests.scenarios.world import CENTRAL, CONFIDENT, POLICY, World, digits, until

TRIAL = (
    "  trial: {{tier: central, region: here, protocol: {protocol}, address: '127.0.0.1:{trial}'}}\nroutes:"
)
SHADOW = (
    "  endpoints: [central]\n"
    "  shadow: {{endpoints: [trial], timeout_ms: {timeout}, max_in_flight: {flying}, max_waiting: {waiting}, "
    "compare: {compare}}}\n"
)
TEXT = POLICY.replace("routes:", TRIAL).replace("  endpoints: [central]\n", SHADOW)
CENTRAL_ONLY = TEXT.replace("  cascade: {{on_central_down: {down}}}\n", "")
IMAGES = range(8)


class Shadowed(World):
    """``here`` has a central tier, and a trial of one on ``trial``; answers come from central alone."""

    def __init__(self, folder: Path, *, protocol: str = "grpc", text: str = CENTRAL_ONLY, **changes: object):
        self.trial = free_port()
        super().__init__(folder, protocol=protocol)
        self.text, self.changes = text, changes
        self.publish(1)

    def publish(self, generation: int, text: str = "", **changes: object) -> None:
        defaults = {"trial": self.trial, "timeout": 30_000, "flying": 4, "waiting": 64, "compare": "{}"}
        self.write_policy(generation, text or self.text, **(defaults | self.changes | changes))

    def results(self, result: str) -> int:
        return int(self.metric(f'edgeway_shadows_total{{result="{result}",route="digits"}}'))

    async def ask_all(self) -> None:
        for image in IMAGES:
            assert (await self.ask(image)).provenance.origin == "central"

    @asynccontextmanager
    async def trial_tier(self, repository: Path = digits.CENTRAL_REPOSITORY) -> AsyncIterator[None]:
        ports = {"http": free_port(), "grpc": free_port()} | {self._protocol: self.trial}
        file = self.folder / "trial.yaml"
        file.write_text(CENTRAL.format(repository=repository, **ports))
        async with GatewayProcess(load_settings(file, {})).serving():
            yield


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_what_is_answered_is_compared(tmp_path: Path, protocol: str) -> None:
    """Each miss once, over either protocol; a hit stays what it is, and the caller sees central's answer."""
    async with Shadowed(tmp_path, protocol=protocol) as world, world.trial_tier():
        await world.ask_all()
        await world.ask_all()
        await until(lambda: world.results("agreed") == len(IMAGES))

        times = [
            world.metric(f'edgeway_shadow_{each}_seconds_count{{route="digits"}}')
            for each in ("later", "sooner")
        ]
        assert sum(times) == len(IMAGES)
        assert world.metric('edgeway_layer_seconds_count{layer="shadow"}') == len(IMAGES)
        assert world.metric('edgeway_layer_seconds_count{layer="upstream"}') == len(IMAGES)
        answered = 'edgeway_requests_total{code="ok",model="digits",provenance="central"}'
        assert world.metric(answered) == len(IMAGES), "no copy is counted as a request"


@pytest.mark.parametrize(
    ("compare", "some", "least"),
    [
        ("{rtol: 0, atol: 0}", "differed", len(IMAGES)),
        ("{top1: [probabilities]}", "agreed", len(IMAGES) // 2),
    ],
)
async def test_another_model_differs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, compare: str, some: str, least: int
) -> None:
    """The int8 model has other numbers, and of most pictures the same digits."""
    async with Shadowed(tmp_path, compare=compare) as world, world.trial_tier(digits.EDGE_REPOSITORY):
        await world.ask_all()
        await until(lambda: world.results("agreed") + world.results("differed") == len(IMAGES))
        assert world.results(some) >= least
        differed = world.results("differed")

    lines = [record.getMessage() for record in caplog.records if record.name == "edgeway.shadow"]
    assert len(lines) == differed.bit_length(), "the 1st, 2nd, 4th and 8th"
    assert all("the answer of trial differs: output 'probabilities' " in line for line in lines)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_a_shadow_that_is_down_harms_nobody(tmp_path: Path, protocol: str) -> None:
    """Callers get what they get without it; what serves them stays in."""
    async with Shadowed(tmp_path, protocol=protocol) as world:
        await world.ask_all()
        await until(lambda: world.results("failed") == len(IMAGES))

        for endpoint in ("trial", "central"):
            assert world.metric(f'edgeway_breaker_state{{endpoint="{endpoint}"}}') == 0
        assert world.metric('edgeway_retries_total{fault="unavailable"}') == 0


async def test_a_shadow_that_hangs_holds_a_few(tmp_path: Path) -> None:
    """The kernel accepts, and no byte comes back: one copy waits for it, one behind it, the others are dropped."""
    async with Shadowed(tmp_path, flying=1, waiting=1, timeout=30_000) as world:
        with socket.create_server(("127.0.0.1", world.trial)):
            await world.ask_all()
            assert world.results("dropped") == len(IMAGES) - 2

            world.publish(2, timeout=50)
            await world.in_force(2)
            await world.ask(20)
            await until(lambda: world.results("timeout") == 1)


async def test_copies_stay_in_the_allowed_regions(tmp_path: Path) -> None:
    """Who may only be served there has no copy here, and the other way round."""
    exile, local = Caller(tenant="exile", vouched=True), Caller(tenant="local", vouched=True)
    text = CENTRAL_ONLY.replace(
        "trial: {{tier: central, region: here", "trial: {{tier: central, region: there"
    )
    async with Shadowed(tmp_path, text=text) as world, world.trial_tier():
        await world.ask(0, caller=exile)
        assert world.results("outside_residency") == 1

        world.publish(
            2, TEXT.replace("trial: {{tier: central, region: here", "trial: {{tier: central, region: there")
        )
        await world.in_force(2)
        edges = await world.ask(CONFIDENT, caller=local)
        assert edges.provenance.origin == "edge"
        assert world.results("outside_residency") == 2
        assert world.results("agreed") == 0


async def test_answers_of_the_edge_are_audited(tmp_path: Path) -> None:
    """Central computes what the edge has answered by itself, and both are compared."""
    text = TEXT.replace("endpoints: [trial], timeout_ms", "endpoints: [central], timeout_ms")
    async with Shadowed(tmp_path, text=text, compare="{top1: [probabilities]}") as world:
        answer = await world.ask(CONFIDENT)
        assert answer.provenance.origin == "edge"

        await until(lambda: world.results("agreed") == 1)
        assert (await world.ask(CONFIDENT)).provenance.level == "l1"
        assert world.results("agreed") == 1


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_leaving_and_reloading_with_copies_under_way(
    tmp_path: Path, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A policy without the trial, then the end of the process: nothing waits, and nothing is left behind."""
    caplog.set_level(logging.DEBUG, "asyncio")
    with socket.create_server(("127.0.0.1", (world := Shadowed(tmp_path, protocol=protocol)).trial)):
        async with world:
            await world.ask_all()
            await until(lambda: "4 of 4 running" in repr_of_shadow(world))

            world.publish(2, POLICY.replace("  cascade: {{on_central_down: {down}}}\n", ""))
            await world.in_force(2)
            assert (await world.ask(30)).provenance.origin == "central"
            before = asyncio.all_tasks()
        gc.collect()

    assert (world.results("dropped"), world.results("failed")) == (len(IMAGES), 0)
    assert not any(
        each.get_coro().__qualname__.startswith("ShadowTrials") for each in asyncio.all_tasks() & before
    )
    assert not [
        record for record in caplog.records if record.name == "asyncio" and record.levelno > logging.INFO
    ]


def repr_of_shadow(world: World) -> str:
    return str(world.edge.generation().routes["digits"].report())
