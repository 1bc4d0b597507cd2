"""What one tenant has asked another does not get, and does not wait for, unless the settings share answers.

Time is not measured here, where other tests run beside: what is counted is what could be felt, look-ups that
hit and flights that are joined. `python -m loadtests.isolation` measures time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http.aio as http_aio

from edge_models.samples import digits
from tests.scenarios.world import PIXELS, POLICY, UNSURE, World

KEYS = {name: f"the-key-of-{name}-which-is-long" for name in ("acme", "umbrella")}
TENANTS = POLICY.replace(
    "  anonymous: {{residency: anywhere}}\n",
    "".join(
        f"  {name}: {{{{residency: anywhere, keys_sha256: [{sha256(key.encode()).hexdigest()}]}}}}\n"
        for name, key in KEYS.items()
    ),
)
KINDS = {"JSON": (http_aio, False), "binary": (http_aio, True), "gRPC": (grpc_aio, True)}
SCOPES = ("tenant", "residency")
HITS = 'edgeway_cache_lookups_total{level="l1",outcome="hit"}'
JOINED = 'edgeway_flights_joined_total{model="digits"}'
FROM_CENTRAL = 'edgeway_layer_seconds_count{layer="upstream"}'


@asynccontextmanager
async def edge(tmp_path: Path, scope: str) -> AsyncIterator[World]:
    made = World(tmp_path)
    made.write_policy(1, TENANTS)
    made.change_settings("cache:\n", f"cache:\n  scope: {scope}\n")
    async with made as world:
        yield world


async def ask(world: World, kind: str, tenant: str) -> str:
    """Send one request by a client of its own, and return who answered."""
    module, is_binary = KINDS[kind]
    server = world.edge.servers.grpc if kind == "gRPC" else world.edge.servers.http
    assert server is not None
    more: dict[str, Any] = {} if kind == "gRPC" else {"binary_data": is_binary}
    tensor = module.InferInput(digits.INPUT, [1, *PIXELS.shape[1:]], "FP32")
    tensor.set_data_from_numpy(PIXELS[UNSURE : UNSURE + 1], **more)
    async with module.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        answer = await client.infer(
            digits.MODEL, [tensor], headers={"authorization": f"Bearer {KEYS[tenant]}"}
        )
    return str(answer.get_response())


def counted(world: World, line: str) -> int:
    text = world.edge.prometheus.render().decode()
    return int(world.metric(line)) if line in text else 0


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("kind", KINDS)
async def test_entries(tmp_path: Path, kind: str, scope: str) -> None:
    """The victim's own second request is a hit, always; the prober's first one only where answers are shared."""
    async with edge(tmp_path, scope) as world:
        await ask(world, kind, "acme")
        await ask(world, kind, "acme")
        assert (counted(world, HITS), counted(world, FROM_CENTRAL)) == (1, 1)
        await ask(world, kind, "umbrella")
        shared = scope == "residency"

        assert counted(world, HITS) == 1 + shared
        assert counted(world, FROM_CENTRAL) == 2 - shared


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("kind", KINDS)
async def test_flights(tmp_path: Path, kind: str, scope: str) -> None:
    """Three of the victim's are one flight; the prober's are one more, which nobody else waits for."""
    async with edge(tmp_path, scope) as world:
        await asyncio.gather(*(ask(world, kind, name) for name in ("acme", "umbrella") * 3))
        report = await world.edge.tier.cache.report(10)

    # Whoever came after a flight had ended found its answer; the rest joined.
    saved = report.flights["joined"] + report.levels[0].lookups.get("hit", 0)
    assert saved == (5 if scope == "residency" else 4)
    assert sorted(row.tenant for row in report.top) == ["acme", "umbrella"]


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_request_in_flight_is_not_felt(tmp_path: Path, scope: str) -> None:
    """While the victim's is under way, the prober's begins one of its own: central gets both."""
    async with edge(tmp_path, scope) as world:
        await asyncio.gather(ask(world, "binary", "acme"), ask(world, "binary", "umbrella"))

        assert counted(world, FROM_CENTRAL) == (1 if scope == "residency" else 2)
        assert counted(world, JOINED) + counted(world, HITS) == (scope == "residency")
