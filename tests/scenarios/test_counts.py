"""Statistics through real ports and models: what was asked is what is counted, whoever answers."""

from __future__ import annotations

import asyncio
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
import pytest

from edge_models.samples import digits
from gateway.core.tensor import Tensor
from gateway.wire.oip import proto as oip_proto
from gateway.wire.proto import messages
from tests.scenarios.world import PIXELS, POLICY, World, picture

SERVICE = f"/{messages.SERVICE}"
KEYS = """\
  acme: {{residency: anywhere, keys_sha256: [KEY_OF_acme]}}
  umbrella: {{residency: anywhere, keys_sha256: [KEY_OF_umbrella]}}
"""


def message(image: int, rows: int = 1) -> Any:
    inputs = (Tensor.from_numpy(digits.INPUT, PIXELS[image : image + rows]),)
    return oip_proto.encode_request(picture(image, inputs=inputs))


class Clients:
    """Asks the edge of a world over both wires, as the tenant whose key it has."""

    def __init__(self, world: World, key: str = "") -> None:
        http, rpc = world.edge.servers.http, world.edge.servers.grpc
        assert http is not None and rpc is not None
        self.url, self.address = f"http://127.0.0.1:{http.port}/v2/models/{digits.MODEL}", rpc.port
        self.headers = {"authorization": f"Bearer {key}"} if key else {}

    async def http(self, *images: int) -> None:
        async with aiohttp.ClientSession(headers=self.headers) as session:
            for image in images:
                data = PIXELS[image].ravel().tolist()
                tensor = {"name": digits.INPUT, "datatype": "FP32", "shape": [1, len(data)], "data": data}
                async with session.post(f"{self.url}/infer", json={"inputs": [tensor]}) as answer:
                    assert answer.status == 200, await answer.text()

    async def rpc(self, *images: int, rows: int = 1) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.address}") as channel:
            call = channel.unary_unary(f"{SERVICE}/ModelInfer")
            for image in images:
                await call(message(image, rows).SerializeToString(), metadata=tuple(self.headers.items()))

    async def stream(self, *images: int) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.address}") as channel:
            call = channel.stream_stream(f"{SERVICE}/ModelStreamInfer")
            sent = iter([message(image).SerializeToString() for image in images])
            assert len([each async for each in call(sent, metadata=tuple(self.headers.items()))]) == len(
                images
            )

    async def read(self, path: str) -> tuple[int, Any]:
        async with aiohttp.ClientSession(headers=self.headers) as session, session.get(path) as answer:
            return answer.status, await answer.json()

    async def counts(self, path: str = "/stats") -> dict[str, int]:
        """The sums over all versions, as a client adds them up."""
        status, found = await self.read(self.url + path)
        assert status == 200
        total: dict[str, int] = {"inference": 0}
        for version in found["model_stats"]:
            total["inference"] += version["inference_count"]
            for name, duration in version["inference_stats"].items():
                total[name] = total.get(name, 0) + duration["count"]
        return total


@pytest.mark.parametrize("cascade", [True, False], ids=["edge model", "central"])
async def test_what_was_asked_is_counted(tmp_path: Path, cascade: bool) -> None:
    """Over HTTP, gRPC and in a stream; by the edge model, by central, or by the cache."""
    text = POLICY if cascade else POLICY.replace("  cascade: {{on_central_down: {down}}}\n", "")
    made = World(tmp_path)
    made.write_policy(1, text)
    async with made as world:
        clients = Clients(world)
        before = await clients.counts()
        first, again = range(20), range(10)
        await asyncio.gather(clients.http(*first), clients.rpc(*range(20, 40)))
        await clients.stream(*range(40, 50))
        await clients.http(*again)
        await clients.rpc(*again)
        await clients.stream(*again)
        after = await clients.counts()

    asked, found = 80, {name: after[name] - before[name] for name in after}
    assert (found["success"], found["queue"], found["fail"]) == (asked, asked, 0)
    computed = asked - found["cache_hit"]
    assert 0 < found["cache_hit"] <= 30
    assert found["cache_miss"] == computed == found["inference"]
    for name in ("compute_input", "compute_infer", "compute_output"):
        assert found[name] == computed


async def test_rows_that_central_computes_are_counted(tmp_path: Path) -> None:
    """They are inferences, of one request."""
    made = World(tmp_path)
    made.write_policy(1, POLICY.replace("  cascade: {{on_central_down: {down}}}\n", ""))
    async with made as world:
        clients = Clients(world)
        await clients.rpc(0, 8, rows=8)
        found = await clients.counts()

    assert (found["success"], found["inference"]) == (2, 16)


async def test_each_tenant_is_told_its_own_requests(tmp_path: Path) -> None:
    """Of a model that others use, too, in the statistics of one model and of all."""
    keys = KEYS
    for name in ("acme", "umbrella"):
        keys = keys.replace(f"KEY_OF_{name}", sha256(f"key-of-{name}".encode()).hexdigest())
    made = World(tmp_path)
    made.write_policy(1, POLICY.replace("  anonymous: {{residency: anywhere}}\n", keys))
    async with made as world:
        acme, umbrella = Clients(world, "key-of-acme"), Clients(world, "key-of-umbrella")
        await acme.http(*range(5), *range(5))
        await acme.stream(*range(5))
        await umbrella.rpc(*range(5))
        found = [await clients.counts() for clients in (acme, umbrella)]
        everything = await acme.read(acme.url.removesuffix(f"/{digits.MODEL}") + "/stats")
        stranger = await Clients(world, "other").read(acme.url + "/stats")

    assert [counts["success"] for counts in found] == [15, 5]
    assert found[0]["queue"] == 15
    # Another tenant's answers are no misses of its own: it may have had them from the cache.
    assert found[1]["cache_hit"] + found[1]["cache_miss"] == 5
    assert [part["inference_stats"]["success"]["count"] for part in everything[1]["model_stats"]] == [15]
    assert stranger[0] == 401


async def test_configuration_at_an_edge_is_centrals(tmp_path: Path) -> None:
    """Whole, over both wires, though the edge has a model of its own; central's maximum is the smaller one."""
    async with World(tmp_path) as world:
        clients = Clients(world)
        status, config = await clients.read(clients.url + "/config")
        _, versioned = await clients.read(clients.url + "/versions/1/config")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{clients.address}") as channel:
            call = channel.unary_unary(f"{SERVICE}/ModelConfig")
            answer = await call(messages.ModelConfigRequest(name=digits.MODEL).SerializeToString())
        rpc = messages.ModelConfigResponse.FromString(answer).config
        await world.stop_central()
        _, out = await clients.read(clients.url + "/config")

    assert status == 200
    assert config["max_batch_size"] == rpc.max_batch_size == 16
    assert config["input"][0]["dims"] == list(rpc.input[0].dims) == [784]
    assert config["dynamic_batching"]["preferred_batch_size"] == [4, 8]
    assert list(rpc.dynamic_batching.preferred_batch_size) == [4, 8]
    # The last answer stands in.
    assert json.dumps(out) == json.dumps(config) == json.dumps(versioned)
