"""Questions about models, through real ports: who may ask, what the asker sees, and what reaches central."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import aiohttp
import grpc.aio
import pytest
import yaml

from gateway.app.gateway import open_gateway
from gateway.app.queries import MAX_QUERIES, UNKNOWN_AT_ONCE, UNKNOWN_PER_S
from gateway.config.settings import load_settings
from gateway.core.catalog import ModelSpec
from gateway.wire.proto import messages
from tests.fakes.data_plane import DIGITS, EchoService, FakeCatalog
from tests.fakes.http import serving
from tests.scenarios.world import digits

ACME, UMBRELLA = {"Authorization": "Bearer key-of-acme"}, {"Authorization": "Bearer key-of-umbrella"}
STRANGERS = [{}, {"Authorization": "Bearer other"}, {"X-Edgeway-Tenant": "acme"}, {"Authorization": "key"}]
QUESTIONS = ["", "/versions/1", "/ready", "/config", "/stats", "/trace/setting"]
SETTINGS = f"""\
role: edge
region: here
listen: {{http: '127.0.0.1:0', grpc: null, admin: null}}
policy: policy.yaml
models: {{repository: '{digits.EDGE_REPOSITORY}'}}
resilience: {{drain: {{drain_time_s: 0, drain_timeout_s: 5}}}}
"""


class Central(FakeCatalog):
    """Knows the models named; a question for one whose name begins with `slow` waits for ``gate``."""

    def __init__(self) -> None:
        names = ("private", "umbrellas", "seen", *(f"slow-{number}" for number in range(40)))
        super().__init__(*(replace(DIGITS, name=name) for name in names))
        self.gate, self.waiting = asyncio.Event(), 0

    async def describe(self, model: str, version: str) -> ModelSpec:
        if model.startswith("slow"):
            self.waiting += 1
            await self.gate.wait()
        return await super().describe(model, version)


class Gateway:
    """An edge before ``central``. acme may use all models, umbrella those that begin with `umbrella`."""

    def __init__(self, port: int, central: Central) -> None:
        self.port, self.central = port, central

    async def ask(self, path: str, headers: dict[str, str], body: bytes | None = None) -> tuple[int, str]:
        method = "GET" if body is None else "POST"
        url = f"http://127.0.0.1:{self.port}/v2{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, headers=headers, data=body) as answer,
        ):
            return answer.status, await answer.text()

    async def statuses(self, paths: list[str], headers: dict[str, str]) -> list[int]:
        return [status for status, _ in await asyncio.gather(*(self.ask(path, headers) for path in paths))]


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Gateway]:
    central = Central()
    async with AsyncExitStack() as lifetimes:
        listener = await lifetimes.enter_async_context(serving(EchoService(), catalog=central))
        policy = {
            "generation": 1,
            "regions": {"here": {}},
            "residency": {"anywhere": {"regions": ["*"]}},
            "tenants": {
                name: {
                    "residency": "anywhere",
                    "keys_sha256": [sha256(f"key-of-{name}".encode()).hexdigest()],
                }
                for name in ("acme", "umbrella")
            },
            "endpoints": {
                "central": {
                    "tier": "central",
                    "region": "here",
                    "protocol": "grpc",
                    "address": f"127.0.0.1:{listener.port}",
                }
            },
            "routes": [
                {
                    "name": "u",
                    "match": {"model": "umbrella*", "tenants": ["umbrella"]},
                    "endpoints": ["central"],
                },
                {"name": "all", "match": {"model": "*", "tenants": ["acme"]}, "endpoints": ["central"]},
            ],
        }
        (tmp_path / "policy.yaml").write_text(yaml.safe_dump(policy))
        (tmp_path / "edge.yaml").write_text(SETTINGS)
        gateway = await open_gateway(load_settings(tmp_path / "edge.yaml", {}), None, lifetimes)
        assert gateway.servers.http is not None
        yield Gateway(gateway.servers.http.port, central)
        central.gate.set()


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_stranger_learns_nothing_and_asks_central_nothing(
    edge: Gateway, stranger: dict[str, str]
) -> None:
    """Of models that are there and of those that are not, of this process's and of central's."""
    paths = [f"/models/{model}{rest}" for model in ("digits", "private", "nothing") for rest in QUESTIONS]

    statuses = await edge.statuses(
        [*paths, "/models", "/models/stats", "/logging", "/trace/setting"], stranger
    )
    index = await edge.ask("/repository/index", stranger, b"")

    assert {*statuses, index[0]} == {401}
    assert await edge.statuses(["", "/health/live", "/health/ready"], {}) == [200, 200, 200]
    assert edge.central.described == []


async def test_stranger_gets_no_descriptors(edge: Gateway) -> None:
    """Reflection needs a key as calls do; the health of the server needs none."""
    name = "grpc.reflection.v1.ServerReflectionRequest"
    request = messages.message(name)(list_services="").SerializeToString()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{edge.port}") as channel:
        reflect = channel.unary_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        assert await reflect(request).code() is grpc.StatusCode.UNAUTHENTICATED
        known = reflect(request, metadata=(("authorization", "Bearer key-of-acme"),))
        assert [b"GRPCInferenceService" in each async for each in known] == [True]
        assert await channel.unary_unary("/grpc.health.v1.Health/Check")(b"") == b"\x08\x01"


@pytest.mark.parametrize("rest", QUESTIONS)
async def test_models_of_others_are_as_if_they_were_not_there(edge: Gateway, rest: str) -> None:
    """The same status and the same words, whether this process holds the model, central, or nobody."""
    answers = []
    for model in ("digits", "private", "nothing"):
        status, text = await edge.ask(f"/models/{model}{rest}", UMBRELLA)
        answers.append((status, text.replace(model, "MODEL")))

    assert len(set(answers)) == 1
    assert answers[0][0] == 404
    assert edge.central.described == []


async def test_each_tenant_sees_its_own(edge: Gateway) -> None:
    """In lists as well as by name."""
    assert json.loads((await edge.ask("/models", ACME))[1]) == {"models": ["digits"]}
    assert json.loads((await edge.ask("/models", UMBRELLA))[1]) == {"models": []}
    assert json.loads((await edge.ask("/repository/index", UMBRELLA, b""))[1]) == []
    assert json.loads((await edge.ask("/models/stats", UMBRELLA))[1]) == {"model_stats": []}
    assert (await edge.ask("/models/private", ACME))[0] == 200
    assert (await edge.ask("/models/umbrellas", UMBRELLA))[0] == 200
    assert (await edge.ask("/models/digits/stats", ACME))[0] == 200
    # Others may use it, too: nothing was asked by acme.
    status, text = await edge.ask("/models/umbrellas/stats", ACME)
    assert status == 200
    assert json.loads(text)["model_stats"][0]["inference_stats"]["success"]["count"] == 0


async def test_slow_questions_of_one_tenant_stop_nobody(edge: Gateway) -> None:
    """Neither the other tenant nor the same one's requests that need an answer."""
    slow = [asyncio.create_task(edge.ask(f"/models/slow-{number}", ACME)) for number in range(MAX_QUERIES)]
    async with asyncio.timeout(20):
        while edge.central.waiting < MAX_QUERIES:
            await asyncio.sleep(0)

    assert (await edge.ask("/models/seen", ACME))[0] == 503
    assert (await edge.ask("/models/umbrellas", UMBRELLA))[0] == 200
    raw = {**ACME, "Inference-Header-Content-Length": "0"}
    assert (await edge.ask("/models/seen/infer", raw, bytes(16)))[0] == 200
    assert (await edge.ask("/models/umbrellas/generate", UMBRELLA, b'{"image": [0, 0, 0, 0]}'))[0] != 503

    edge.central.gate.set()
    assert {status for status, _ in await asyncio.gather(*slow)} == {200}


async def test_made_up_names_reach_central_at_a_bounded_rate(edge: Gateway) -> None:
    """By a tenant that may use all of them; equal ones are not asked again at once."""
    began = asyncio.get_running_loop().time()
    for _ in range(2):
        await asyncio.gather(*(edge.ask(f"/models/none-{number % 100}", ACME) for number in range(200)))
    seconds = asyncio.get_running_loop().time() - began

    assert len(edge.central.described) <= UNKNOWN_AT_ONCE + UNKNOWN_PER_S * seconds + 1


async def test_central_is_asked_once_in_a_while(edge: Gateway) -> None:
    """Whatever is asked of a model, by however many, with its version or without; each kind of question."""
    paths = [
        f"/models/umbrellas{version}{rest}" for version in ("", "/versions/1") for rest in ("", "/config")
    ]
    assert (await edge.ask("/models/umbrellas", ACME))[0] == 200
    for tenant in (ACME, UMBRELLA, ACME):
        assert set(await edge.statuses(paths * 5, tenant)) == {200}
    for tenant in (ACME, UMBRELLA):
        assert (await edge.ask("/models", tenant))[0] == 200

    # The metadata, and the configuration, which this central makes from the metadata.
    assert edge.central.described == [("umbrellas", "")] * 2
