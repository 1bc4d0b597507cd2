"""A policy of thousands of routes comes into force while requests go on."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from coverage import Coverage

from gateway.app.process import GatewayProcess
from tests.gateway.app.processes import EDGE, get_json, settings
from tests.gateway.policies import CENTRAL_DIGEST, GOOD

ROUTES = 3000

LONGEST_S = 0.06 if Coverage.current() is None else 1.0
"""20 ms, on a machine that also does something else; it was 0.8 s by the same measure, and three times that beside
what measures coverage: `make test-steps` has none."""


def large(generation: int) -> str:
    """A policy whose routes are for models that nobody has asked for yet, one of them for ours."""
    routes = "".join(
        f"- name: route-{index}\n  match: {{model: model-{index}}}\n  digest: {CENTRAL_DIGEST}\n"
        "  cascade: {on_central_down: serve_edge}\n  endpoints: [central]\n"
        for index in range(ROUTES - 1)
    )
    return GOOD.replace("generation: 1", f"generation: {generation}") + routes


class Steps:
    """The longest turn of the loop, by the processor time of its thread: no other process can make it longer."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    async def watch(self) -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            self.longest_s = max(self.longest_s, time.thread_time() - before)


def manifold(generation: int) -> str:
    """As many routes, over many endpoints in regions that many classes of residency allow in part."""
    regions = [f"region-{index}" for index in range(10)]
    some_regions = list(itertools.combinations(regions, 4))[::7]
    some_endpoints = list(itertools.islice(itertools.combinations(range(40), 3), ROUTES))
    rules = {
        "generation": generation,
        "regions": {region: {"serves": []} for region in ("here", *regions)},
        "residency": {
            "anywhere": {"regions": ["*"]},
            **{f"class-{index}": {"regions": some} for index, some in enumerate(some_regions)},
        },
        "tenants": {"anonymous": {"residency": "anywhere"}},
        "endpoints": {
            f"endpoint-{index}": {
                "tier": "central",
                "region": regions[index % 10],
                "protocol": "grpc",
                "address": f"127.0.0.1:{9 + index}",
            }
            for index in range(40)
        },
        "routes": [
            {
                "name": f"route-{index}",
                "match": {"model": f"model-{index}"},
                "endpoints": [f"endpoint-{each}" for each in some],
            }
            for index, some in enumerate(some_endpoints)
        ],
    }
    return json.dumps(rules)


@pytest.mark.parametrize("made", [large, manifold])
async def test_loop_goes_on(tmp_path: Path, made: Callable[[int], str]) -> None:
    """It reads, checks and builds no more in one turn than what no request would notice."""
    process = GatewayProcess(settings(tmp_path, EDGE, made(1)))
    steps = Steps()
    async with process.serving() as gateway:
        watching = asyncio.create_task(steps.watch())
        # A collection looks at everything that all the tests before this one have left.
        gc.disable()
        try:
            (tmp_path / "policy.yaml").write_text(made(2))
            await gateway.reload()
        finally:
            gc.enable()
            watching.cancel()

        assert gateway.generation().number == 2
        assert repr(gateway.generation().routes) == f"<RouteStacks, 0 of {ROUTES} made>"
    assert steps.longest_s < LONGEST_S


async def test_report_of_all_stacks(tmp_path: Path) -> None:
    """The operator sees every route; none of them costs anything from then on, and the loop goes on."""
    process = GatewayProcess(settings(tmp_path, EDGE, large(1)))
    steps = Steps()
    async with process.serving() as gateway:
        watching = asyncio.create_task(steps.watch())
        gc.disable()
        try:
            report = await gateway.generation().report()
        finally:
            gc.enable()
            watching.cancel()
        assert len(report.routes) == ROUTES
        assert repr(gateway.generation().routes) == f"<RouteStacks, 0 of {ROUTES} made>"
        assert gateway.servers.admin is not None
        assert len((await get_json(gateway.servers.admin.port, "/stack"))["routes"]) == ROUTES
    assert steps.longest_s < LONGEST_S


@pytest.mark.parametrize("fails", [False, True])
async def test_no_collection_while_it_is_built(tmp_path: Path, *, fails: bool) -> None:
    """Not of the file's many nodes, nor of the generation; afterwards there are collections as before."""
    process = GatewayProcess(settings(tmp_path, EDGE, large(1)))
    collected: list[int] = []

    def note(phase: str, found: dict[str, int]) -> None:
        if phase == "start":
            collected.append(found["generation"])

    async with process.serving() as gateway:
        text = large(2)
        (tmp_path / "policy.yaml").write_text(text.replace("model-17}", "model-17") if fails else text)
        gc.callbacks.append(note)
        try:
            await gateway.reload()
        finally:
            gc.callbacks.remove(note)
        assert gateway.generation().number == (1 if fails else 2)
        assert gc.isenabled()
    # Some thousand objects stay, and a file of this size is parsed into half a million.
    assert len(collected) < 100
    assert collected.count(2) <= 2
