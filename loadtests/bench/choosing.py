"""What it costs to find a route where routes ask for more than model and tenant; for `planning`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from gateway.config.policy_file import parse_policy
from gateway.core.request import Caller, Request
from gateway.core.tensor import Tensor
from routing.matching import Routes

INPUT_BYTES: Final = 3 << 10
BATCHES: Final = 200
CHOICES: Final = 50
"""Of a batch. A clock is read around each batch."""

Match = Mapping[str, Any]


def _mixed() -> list[Match]:
    """A thousand that ask for all kinds of things; sixteen of them are percentages of one model."""
    kinds: list[Match] = [
        kind
        for each in range(167)
        for kind in (
            {"model": f"model-{each}", "percent": 50},
            {"model": "digits", "headers": {"x-team": f"team-{each}"}},
            {"model": "digits", "headers": {"x-app": {"prefix": f"app{each:03}"}}},
            {"model": "digits", "networks": [f"10.1.{each}.0/24"]},
            {"model": f"model-{each}", "version": "1"},
            {"model": "digits", "tenants": ["anonymous"], "version": str(each)},
        )
    ]
    return [*kinds[:500], *({"model": "digits", "percent": 1},) * 16, *kinds[500:984]]


MATCHES: Final[Mapping[str, list[Match]]] = {
    "16 percentages": [{"model": "digits", "percent": 1}] * 16,
    "16 expressions": [
        {"model": "digits", "headers": {"x-team": {"regex": f"team-{number}-[a-z]+"}}} for number in range(16)
    ],
    "1,000 mixed": _mixed(),
}


def median(what: str) -> float:
    """Return µs per choice, the median of batches: of a request with 3 KiB of input, which most pass on."""
    routes = Routes(parse_policy(Path("policy.yaml"), json.dumps(_policy(MATCHES[what])).encode(), "here"))
    data = np.random.default_rng(1).random(INPUT_BYTES // 8).tobytes()
    request = Request(
        "digits",
        (Tensor("image", "FP64", (1, INPUT_BYTES // 8), data),),
        caller=Caller("192.0.2.7", "anonymous"),
        routed=(("x-team", "team-99-blue"), ("x-app", "other")),
    )
    batches = []
    for _ in range(BATCHES):
        began = time.perf_counter_ns()
        for _ in range(CHOICES):
            routes.choose(request)
        batches.append((time.perf_counter_ns() - began) / 1000 / CHOICES)
    return float(np.percentile(batches, 50))


def _policy(matches: list[Match]) -> dict[str, Any]:
    return {
        "generation": 1,
        "regions": {"here": {"serves": []}},
        "residency": {"anywhere": {"regions": ["*"]}},
        "tenants": {"anonymous": {"residency": "anywhere"}},
        "endpoints": {
            "central": {"tier": "central", "region": "here", "protocol": "http", "address": "10.0.0.1:80"}
        },
        "routes": [
            {"name": f"route-{number}", "match": match, "endpoints": ["central"]}
            for number, match in enumerate([*matches, {}])
        ],
    }
