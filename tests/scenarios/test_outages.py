"""The central tier goes and comes back: who is refused, what is said of it, and how soon it is over."""

from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_models.samples import digits
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Response
from gateway.core.tensor import Tensor
from tests.scenarios.world import PIXELS, UNSURE, World

PATIENCE_S = 60
"""Far more than it takes, for machines with much else to do; how long it takes is measured elsewhere."""


NUMBERS = itertools.count(1)


async def ask_anew(world: World) -> Response:
    """Ask about a picture that nobody has asked about before, and that the edge is not sure of."""
    noise = np.float32(1e-7 * next(NUMBERS))
    inputs = (Tensor.from_numpy(digits.INPUT, PIXELS[UNSURE : UNSURE + 1] + noise),)
    return await world.ask(UNSURE, inputs=inputs, deadline=asyncio.get_running_loop().time() + 5)


async def refused(world: World) -> GatewayError:
    """Ask until the breaker refuses."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with pytest.raises(GatewayError) as caught:
                await ask_anew(world)
            if "that may be asked is available" in caught.value.message:
                return caught.value


async def endpoints(world: World) -> Any:
    report = world.edge.health()
    return report["endpoints"]


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_back_it_gets_a_health_check_and_then_all_requests(tmp_path: Path, protocol: str) -> None:
    """No request finds out by failing: the first that gets through, and all after it, are answered."""
    async with World(tmp_path, protocol=protocol, on_central_down="fail") as world:
        await ask_anew(world)
        await world.stop_central()
        error = await refused(world)
        assert error.fault is Fault.UNAVAILABLE
        assert "'central': connection refused" in error.message
        assert (await endpoints(world))["central"]["reason"] == "refused"
        assert world.metric('edgeway_breaker_open{endpoint="central",model="",reason="refused"}') == 1

        await world.start_central()
        outcomes = []
        async with asyncio.timeout(PATIENCE_S):
            while len(outcomes) < 40:
                try:
                    answer = await ask_anew(world)
                    outcomes.append(answer.provenance.origin)
                except GatewayError:
                    assert not outcomes, "a failure after it was found to be back"
                    await asyncio.sleep(0.01)

        assert await endpoints(world) == {"central": {"state": "closed"}}
        assert world.metric('edgeway_breaker_state{endpoint="central"}') == 0


async def test_with_a_cascade_the_edge_stops_answering_uncertified_soon_after(tmp_path: Path) -> None:
    """As soon as a health check has found it, and not when some time of ours is over."""
    async with World(tmp_path) as world:
        await world.stop_central()
        async with asyncio.timeout(PATIENCE_S):
            while not (await endpoints(world))["central"].get("reason"):
                assert not (await ask_anew(world)).provenance.certified

        await world.start_central()

        async with asyncio.timeout(PATIENCE_S):
            while not (await ask_anew(world)).provenance.certified:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("ending", ["reload", "shutdown"])
async def test_checks_end_with_what_they_are_for(tmp_path: Path, ending: str) -> None:
    """No task and no socket is left of an endpoint that is out, wherever its checks are."""
    before = asyncio.all_tasks()
    files = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - their names are numbers
    async with World(tmp_path, on_central_down="fail") as world:
        await world.stop_central()
        await refused(world)
        if ending == "reload":
            world.write_policy(2, port=1)
            await world.in_force(2)
            assert await endpoints(world) == {"central": {"state": "closed"}}
    await asyncio.sleep(0)

    assert asyncio.all_tasks() == before
    assert set(os.listdir("/proc/self/fd")) <= files  # noqa: PTH208 - their names are numbers
