"""Case `planning`: what it costs to find the endpoints for a request, in order, before a member is picked."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np

from gateway.app.connector import Connector
from gateway.app.endpoint_set import NO_ENDPOINTS, EndpointSet
from gateway.app.endpoints import Endpoints
from gateway.app.observe import Observed
from gateway.config.policy_file import parse_policy
from gateway.core.clock import LoopClock
from gateway.core.telemetry import Silence
from loadtests.bench import choosing
from loadtests.bench.results import Result, Row, Target, spreads
from loadtests.bench.rounds import Bench, cores
from resilience.settings import ResilienceSettings
from routing.matching import Routes
from routing.policy import Policy
from routing.preference import Order, preference
from routing.rules.order import first, holding, reachable

MODES: Final = ("failover", "nearest", "distribute")
SMALL: Final = (10, 3, 2)
LARGE: Final = (1_000, 50, 8)
"""Routes, regions, members of the endpoint that each region has."""

TARGETS: Final = {SMALL: Target(12.0, at_least=False), LARGE: Target(15.0, at_least=False)}
CHOICES: Final = dict.fromkeys(choosing.MATCHES, Target(13.0, at_least=False))
"""A plan is to take 15 µs; behind the route there are the order of endpoints and the first of them."""

BATCHES: Final = 200
PLANS: Final = 50
"""Of a batch. A clock is read around each batch."""


def measure(bench: Bench) -> Result:
    """Time a plan in each mode of locality, all members well, pinned to one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[0]})
    try:
        rows, others = [], {}
        for size, target in TARGETS.items():
            num_routes, num_regions, num_members = size
            what = f"plan of {num_routes} routes, {num_regions} regions, {num_members} members"
            for mode in MODES:
                times = [asyncio.run(_median(size, mode)) for _ in range(bench.effort.rounds)]
                if mode == MODES[0]:
                    rows.append(Row.alone(f"{what}, p50", "µs", target, times))
                else:
                    others[f"{what}, {mode}"] = times
        for what, target in CHOICES.items():
            times = [choosing.median(what) for _ in range(bench.effort.rounds)]
            rows.append(Row.alone(f"route of {what}, p50", "µs", target, times))
    finally:
        os.sched_setaffinity(0, before)
    return Result(rows=tuple(rows), details={"plans_us": spreads(others), "plans": BATCHES * PLANS})


async def _median(size: tuple[int, int, int], mode: str) -> float:
    """Return µs per plan, the median of batches: its route, the order of endpoints, the first of them."""
    num_routes = size[0]
    policy = parse_policy(Path("policy.yaml"), json.dumps(policy_of(size, mode)).encode(), "r0")
    endpoints = Endpoints(
        ResilienceSettings(),
        clock := LoopClock(),
        Silence(),
        Observed(clock, Silence(), None),
        connector=Connector(clock, Random(1)),  # noqa: S311 - not secrets
        in_use=lambda: NO_ENDPOINTS,
        region="r0",
    )
    view = endpoints.prepare(policy)
    routes, everywhere = Routes(policy), frozenset(policy.regions)
    names = {route.name: reachable(policy, route, "r0", everywhere, edges=True) for route in policy.routes}
    order = _order(policy, view)
    models = [f"model-{number % num_routes}" for number in range(0, PLANS * 7, 7)]
    batches = []
    for _ in range(BATCHES):
        began = time.perf_counter_ns()
        for model in models:
            route = routes.find(model, "anonymous")
            assert route is not None, "each model has one"
            held = holding(names[route.name], view.lacking(model, ""))
            first(order.order(held), view, model)
        batches.append((time.perf_counter_ns() - began) / 1000 / PLANS)
    for pool in view.by_name.values():
        await pool.aclose()
    return float(np.percentile(batches, 50))


def _order(policy: Policy, view: EndpointSet) -> Order:
    chance = Random(1)  # noqa: S311 - not secrets
    return preference(policy, "r0", tuple(policy.endpoints), view, clock=LoopClock(), chance=chance)


def policy_of(size: tuple[int, int, int], mode: str) -> dict[str, Any]:
    """Return a policy of so many routes, regions and members of the endpoint that each region has."""
    num_routes, num_regions, num_members = size
    regions = [f"r{number}" for number in range(num_regions)]
    share = 100 // num_regions
    weights = dict.fromkeys(regions, share) | {regions[0]: 100 - share * (num_regions - 1)}
    more = {"distribute": [{"from": "r0", "to": weights}]} if mode == "distribute" else {}
    return {
        "generation": 1,
        "regions": {
            region: {"location": {"latitude": number - 40, "longitude": number}}
            for number, region in enumerate(regions)
        },
        "residency": {"anywhere": {"regions": ["*"]}},
        "tenants": {"anonymous": {"residency": "anywhere"}},
        "failover": {regions[0]: regions[1:]},
        "locality": {"mode": mode, **more},
        "endpoints": {
            f"central-{region}": {
                "tier": "central",
                "region": region,
                "protocol": "http",
                "addresses": [f"10.0.{number}.{member}:80" for member in range(num_members)],
            }
            for number, region in enumerate(regions)
        },
        "routes": [
            {
                "name": f"route-{number}",
                "match": {"model": f"model-{number}"},
                "endpoints": [f"central-{region}" for region in regions],
            }
            for number in range(num_routes)
        ],
    }
