"""`response_cache` of a model's configuration, over real sockets: an edge obeys its own, and central's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.app.gateway import Gateway
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request, Response
from gateway.core.tensor import Tensor
from tests.edge_models import onnx_models
from tests.fakes.redis_server import free_port
from tests.scenarios.test_sequences import CENTRAL, EDGE, serve

POLICY = """\
generation: 1
regions: {{here: {{}}, there: {{}}}}
residency: {{anywhere: {{regions: ["*"]}}}}
tenants: {{anonymous: {{residency: anywhere}}}}
endpoints:
  central: {{tier: central, region: there, protocol: {protocol}, address: '127.0.0.1:{port}'}}
routes:
- name: held
  match: {{model: held}}
  digest: '{digest}'
  cascade: {{on_central_down: serve_edge}}
  cache: {cache}
  endpoints: [central]
- name: others
  match: {{model: '*'}}
  digest: '{digest}'
  endpoints: [central]
"""
CONFIG = """max_batch_size: 4
input {{ name: "image" data_type: TYPE_FP32 dims: 4 }}
output {{ name: "probabilities" data_type: TYPE_FP32 dims: 3 }}
output {{ name: "label" data_type: TYPE_INT64 dims: 1 reshape {{ }} }}
{}"""
FORBIDS, WANTS = "response_cache { enable: false }", "response_cache { enable: true }"


def repository(folder: Path, **models: str | None) -> Path:
    """Models by name, each with a configuration that ends so; None: without one."""
    for name, ending in models.items():
        onnx_models.write(folder, name, onnx_models.softmax())
        if ending is not None:
            (folder / name / "config.pbtxt").write_text(CONFIG.format(ending))
    return folder


def digest_of(models: Path) -> str:
    """The digest of the models of a repository that are all of one file."""
    return f"sha256:{sha256(next(models.glob('*/1/model.onnx')).read_bytes()).hexdigest()}"


def picture(model: str, value: float = 0.5) -> Request:
    return Request(model, (Tensor.from_numpy("image", np.full((1, 4), value, np.float32)),))


class Edge:
    def __init__(self, gateway: Gateway, folder: Path) -> None:
        self.gateway, self.folder = gateway, folder

    async def ask(self, model: str, value: float = 0.5) -> Response:
        answered = self.gateway.generation()(picture(model, value))
        return await answered

    def metrics(self) -> list[str]:
        return self.gateway.prometheus.render().decode().splitlines()

    async def levels(self, model: str, times: int, value: float = 0.5) -> list[str]:
        return [(await self.ask(model, value)).provenance.level for _ in range(times)]


@asynccontextmanager
async def edge(
    tmp_path: Path,
    central: dict[str, str | None],
    own: dict[str, str | None] | None = None,
    *,
    protocol: str = "grpc",
    cache: str = "{}",
    settings: str = EDGE,
) -> AsyncIterator[Edge]:
    ports = {"http": free_port(), "grpc": free_port()}
    folder = tmp_path / "edge"
    folder.mkdir()
    async with AsyncExitStack() as lifetimes:
        models = repository(tmp_path / "models", **central)
        await serve(tmp_path / "central", CENTRAL.format(repository=models, **ports), lifetimes)
        text = POLICY.format(protocol=protocol, port=ports[protocol], digest=digest_of(models), cache=cache)
        (folder / "policy.yaml").write_text(text)
        if own is not None:
            settings += f"models: {{repository: '{repository(folder / 'models', **own)}'}}\n"
        yield Edge(await serve(folder, settings, lifetimes), folder)


async def is_forgotten(asked: Edge, model: str) -> None:
    """Wait until what central's configuration says has come: no answer is out of the cache any more."""
    for _ in range(100):
        if not (await asked.ask(model)).provenance.level:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it is kept on and on")


@pytest.mark.parametrize("protocol", ["http", "grpc"])
async def test_what_central_forbids_is_kept_nowhere(tmp_path: Path, protocol: str) -> None:
    """The edge learns it beside the first answer, forgets that, and keeps none from then on."""
    models = {"fresh": FORBIDS, "wanted": WANTS, "plain": "", "bare": None}
    async with edge(tmp_path, models, protocol=protocol) as asked:
        for model in models:
            await asked.ask(model)
        for model in ("wanted", "plain", "bare"):
            assert await asked.levels(model, 2) == ["l1", "l1"]

        await is_forgotten(asked, "fresh")
        assert await asked.levels("fresh", 3) == ["", "", ""]
        assert await asked.levels("fresh", 2, value=0.25) == ["", ""]
        assert await asked.levels("wanted", 1) == ["l1"]
        found = await asked.gateway.extensions.statistics.counted()
        misses = {
            model: [part.inference_stats.cache_miss.count for part in found.report(model, ("1",))]
            for model in ("fresh", "wanted")
        }
        assert misses == {"fresh": [0], "wanted": [1]}


async def test_own_configuration_forbids(tmp_path: Path) -> None:
    """From the first answer on, the edge's and central's alike; the stack of its route has no cache."""
    async with edge(tmp_path, {"held": "", "other": ""}, {"held": FORBIDS}) as asked:
        assert await asked.levels("held", 3) == ["", "", ""]
        await asked.ask("other")
        assert await asked.levels("other", 1) == ["l1"]
        stack = repr((await asked.gateway.generation().report()).routes["held"])
        assert "cache look-up" not in stack
        assert not asked.gateway.extensions.repository.settings("held").is_cached

        (asked.folder / "models" / "held" / "config.pbtxt").write_text(CONFIG.format(""))
        await asked.gateway.extensions.repository.load("held", {})
        await asked.ask("held")
        assert await asked.levels("held", 1) == ["l1"]
        assert asked.gateway.extensions.repository.settings("held").is_cached


@pytest.mark.parametrize(
    ("own", "cache", "settings", "warning"),
    [
        (WANTS, "{}", EDGE, ""),
        ("", "{enabled: false}", EDGE, ""),
        (WANTS, "{enabled: false}", EDGE, "route 'held' of the policy has `cache: {enabled: false}`"),
        (
            WANTS,
            "{}",
            EDGE.replace("cache: {memory: {max_bytes: 1048576}}\n", ""),
            "the settings have no cache",
        ),
    ],
)
async def test_a_wanted_cache_that_is_not_there_is_named(
    tmp_path: Path, caplog: Any, own: str, cache: str, settings: str, warning: str
) -> None:
    """When the model is loaded, once, with what to set."""
    with caplog.at_level(logging.WARNING, "edgeway"):
        async with edge(tmp_path, {"held": ""}, {"held": own}, cache=cache, settings=settings) as asked:
            await asked.gateway.extensions.repository.load("held", {})
    found = [
        record.message
        for record in caplog.records
        if record.message.startswith("model held: response_cache is enabled")
    ]
    assert len(found) == (1 if warning else 0)
    assert all(warning in message for message in found)


async def test_a_level_that_is_not_here_is_named(tmp_path: Path, caplog: Any) -> None:
    """Once for each route; what is left is used, and where nothing is left nothing is kept."""
    with caplog.at_level(logging.WARNING, "edgeway"):
        async with edge(tmp_path, {"held": None}, cache="{levels: [l2]}") as asked:
            assert await asked.levels("held", 3) == [""] * 3
    found = [record.message for record in caplog.records if "cache level" in record.message]
    assert len(found) == 1
    assert found[0].endswith("uses the cache level l2, which is not here")


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("ttl_s", [60, 0])
async def test_what_central_says_of_inputs_is_kept(tmp_path: Path, protocol: str, ttl_s: int) -> None:
    """The same inputs are refused again without central; others are asked for, and so is what went well."""
    wrong = Tensor.from_numpy("image", np.zeros((1, 5), np.float32))
    async with edge(
        tmp_path, {"held": None}, protocol=protocol, cache=f"{{negative_ttl_s: {ttl_s}}}"
    ) as asked:
        messages = []
        for value in (wrong, wrong, wrong):
            with pytest.raises(GatewayError) as caught:
                await asked.gateway.generation()(Request("held", (value,)))
            messages.append((caught.value.fault, caught.value.message))
        levels = await asked.levels("held", 2)
        kept = [
            line for line in asked.metrics() if 'outcome="negative"' in line and not line.endswith(" 0.0")
        ]

    assert {fault for fault, _ in messages} == {Fault.INVALID}
    assert len(set(messages)) == 1
    assert levels == ["", "l1"]
    assert [line.rsplit(" ", 1)[1] for line in kept] == (["2.0"] if ttl_s else [])
