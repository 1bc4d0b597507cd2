"""Sequences over real sockets: tritonclient, one central tier, and an edge before two of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http.aio as http_aio
from tritonclient.utils import InferenceServerException

from gateway.app.gateway import Gateway
from gateway.app.process import GatewayProcess
from gateway.config.settings import load_settings
from tests.edge_models.sequences import models
from tests.fakes.redis_server import free_port
from tests.routing.policies import KEY_HASH

CENTRAL = """\
role: central
region: there
listen: {{http: '127.0.0.1:{http}', grpc: '127.0.0.1:{grpc}', admin: null}}
trusted_proxies: [127.0.0.0/8]
models: {{repository: '{repository}'}}
resilience: {{drain: {{drain_time_s: 0, drain_timeout_s: 5}}}}
"""
EDGE = """\
role: edge
region: here
listen: {http: '127.0.0.1:0', grpc: '127.0.0.1:0', admin: null}
policy: policy.yaml
cache: {memory: {max_bytes: 1048576}}
resilience: {drain: {drain_time_s: 0, drain_timeout_s: 5}}
"""
POLICY = """\
generation: 1
regions: {{here: {{}}, there: {{}}}}
residency: {{anywhere: {{regions: ["*"]}}}}
tenants: {{anonymous: {{residency: anywhere}}, acme: {{residency: anywhere, keys_sha256: [{key}]}}}}
endpoints:
  one: {{tier: central, region: there, protocol: grpc, address: '127.0.0.1:{one}'}}
  two: {{tier: central, region: there, protocol: http, address: '127.0.0.1:{two}'}}
routes:
- name: sums
  match: {{model: sums}}
  digest: 'sha256:{digest}'
  endpoints: [one, two]
"""
KINDS = {"http": http_aio, "grpc": grpc_aio}
VALUES = [11, 7, 5, 3, 2, 0, 1]


def repository(folder: Path, idle_s: int = 30) -> Path:
    """Models that add up the inputs of a sequence: with all controls, and with none."""
    idle = f"oldest {{ }} max_sequence_idle_microseconds: {idle_s * 1_000_000}"
    text = models.CONTROLS + models.STATE + idle
    models.write(folder / "models", "sums", models.accumulator(), models.config(text))
    return models.write(folder / "models", "bare", models.bare(), models.config(models.STATE + idle))


async def serve(folder: Path, text: str, lifetimes: AsyncExitStack) -> Gateway:
    folder.mkdir(exist_ok=True)
    (folder / "settings.yaml").write_text(text)
    process = GatewayProcess(load_settings(folder / "settings.yaml", {}))
    return await lifetimes.enter_async_context(process.serving())


@asynccontextmanager
async def central(folder: Path) -> AsyncIterator[tuple[dict[str, int], Gateway]]:
    ports = {"http": free_port(), "grpc": free_port()}
    folder.mkdir(exist_ok=True)
    async with AsyncExitStack() as lifetimes:
        text = CENTRAL.format(repository=repository(folder), **ports)
        yield ports, await serve(folder, text, lifetimes)


@asynccontextmanager
async def edge(
    folder: Path, one: int, two: int, opened: list[Gateway] | None = None
) -> AsyncIterator[dict[str, int]]:
    folder.mkdir()
    (folder / "policy.yaml").write_text(POLICY.format(one=one, two=two, digest="0" * 64, key=KEY_HASH))
    async with AsyncExitStack() as lifetimes:
        gateway = await serve(folder, EDGE, lifetimes)
        if opened is not None:
            opened.append(gateway)
        assert gateway.servers.http is not None
        assert gateway.servers.grpc is not None
        yield {"http": gateway.servers.http.port, "grpc": gateway.servers.grpc.port}


def inputs(kind: str, value: int) -> list[Any]:
    entry = KINDS[kind].InferInput("INPUT", [1, 1], "INT32")
    entry.set_data_from_numpy(np.array([[value]], np.int32))
    return [entry]


async def total(
    kind: str,
    client: Any,
    value: int,
    number: int | str,
    start=False,
    end=False,
    *,
    model="sums",
    headers=None,
) -> int:
    """The sum that a step answers with."""
    answer = await client.infer(
        model,
        inputs(kind, value),
        sequence_id=number,
        sequence_start=start,
        sequence_end=end,
        headers=headers,
    )
    return int(answer.as_numpy("OUTPUT").item())


async def sequence(kind: str, client: Any, number: int | str) -> list[int]:
    last = len(VALUES) - 1
    return [
        await total(kind, client, value, number, start=place == 0, end=place == last)
        for place, value in enumerate(VALUES)
    ]


SUMS = np.cumsum(VALUES).tolist()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_has_a_sequence(tmp_path, kind):
    """Each step answers with the sum so far; a missing START, and a missing id, are Triton's refusals."""
    async with central(tmp_path) as (ports, _):
        async with KINDS[kind].InferenceServerClient(f"127.0.0.1:{ports[kind]}") as client:
            several = await asyncio.gather(*(sequence(kind, client, number) for number in (1000, 1001, 1002)))
            again = await sequence(kind, client, 1000)
            with pytest.raises(InferenceServerException) as no_start:
                await total(kind, client, 1, 1000)
            with pytest.raises(InferenceServerException) as no_id:
                await client.infer("sums", inputs(kind, 1))
            metadata = await client.get_model_metadata("sums")
            server = await client.get_server_metadata()

    assert several == [SUMS] * 3
    assert again == SUMS
    assert no_start.value.message() == (
        "inference request for sequence 1000 to model 'sums' must specify the START flag on the first request of "
        "the sequence"
    )
    assert no_id.value.message() == (
        "inference request to model 'sums' must specify a non-zero or non-empty correlation ID"
    )
    names = metadata["inputs"] if kind == "http" else metadata.inputs
    assert [each["name"] if kind == "http" else each.name for each in names] == ["INPUT"]
    assert "sequence" in (server["extensions"] if kind == "http" else server.extensions)


async def test_a_stream_carries_several_sequences(tmp_path):
    """As Triton's own example: all steps of one after those of the other, none waits for its answer."""
    numbers = (1000, 1001, 7)

    async def steps() -> AsyncIterator[dict[str, Any]]:
        for number in numbers:
            for place, value in enumerate(VALUES):
                yield {
                    "model_name": "sums",
                    "inputs": inputs("grpc", value),
                    "request_id": f"{number}_{place}",
                    "sequence_id": number,
                    "sequence_start": place == 0,
                    "sequence_end": place == len(VALUES) - 1,
                }

    found: dict[str, list[int]] = {}
    async with central(tmp_path) as (ports, _):
        async with grpc_aio.InferenceServerClient(f"127.0.0.1:{ports['grpc']}") as client:
            async for result, error in client.stream_infer(steps()):
                assert error is None
                name = result.get_response().id.partition("_")[0]
                found.setdefault(name, []).append(int(result.as_numpy("OUTPUT").item()))

    assert found == {str(number): SUMS for number in numbers}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_text_names_a_sequence(tmp_path, kind):
    """Such as a UUID; a number that reads alike is another sequence."""
    async with central(tmp_path) as (ports, _):
        async with KINDS[kind].InferenceServerClient(f"127.0.0.1:{ports[kind]}") as client:
            found = [
                await total(kind, client, value, number, start=value < 3, model="bare")
                for value, number in ((1, "5"), (2, 5), (10, "5"), (20, 5))
            ]

    assert found == [1, 2, 11, 22]


async def test_over_all_protocols_it_is_one_sequence(tmp_path):
    """A step may come over HTTP and the next over gRPC."""
    async with central(tmp_path) as (ports, _):
        async with http_aio.InferenceServerClient(f"127.0.0.1:{ports['http']}") as http:
            async with grpc_aio.InferenceServerClient(f"127.0.0.1:{ports['grpc']}") as grpc:
                found = [
                    await total("http", http, 1, 5, start=True),
                    await total("grpc", grpc, 2, 5),
                    await total("http", http, 3, 5, end=True),
                ]

    assert found == [1, 3, 6]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_edge_sends_a_sequence_to_one_of_two_endpoints(tmp_path, kind):
    """Many at once, spread over both, and none of them is ever at the wrong one."""
    async with central(tmp_path / "one") as (one, first), central(tmp_path / "two") as (two, second):
        async with edge(tmp_path / "edge", one["grpc"], two["http"]) as ports:
            async with KINDS[kind].InferenceServerClient(f"127.0.0.1:{ports[kind]}") as client:
                found = await asyncio.gather(*(sequence(kind, client, number) for number in range(1, 31)))
                counts = [
                    (await gateway.foundation.statistics.counted()).parts() for gateway in (first, second)
                ]

    assert found == [SUMS] * 30
    assert all(counts)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_edges_tenants_do_not_share_ids(tmp_path, kind):
    """Central is told whose step it is: nobody continues, changes or ends another's sequence."""
    acme = {"authorization": "Bearer abcdefg"}
    async with central(tmp_path / "one") as (one, _), central(tmp_path / "two") as (two, _):
        async with edge(tmp_path / "edge", one["grpc"], two["http"]) as ports:
            async with KINDS[kind].InferenceServerClient(f"127.0.0.1:{ports[kind]}") as client:
                refusals = 0
                for number in range(1, 9):
                    await total(kind, client, 100, number, start=True, headers=acme)
                    try:
                        await total(kind, client, 1, number, end=True)
                    except InferenceServerException as error:
                        refusals += "must specify the START flag" in error.message()
                    await total(kind, client, 1, number, start=True, end=True)
                found = [await total(kind, client, 1, number, headers=acme) for number in range(1, 9)]

    assert (refusals, found) == (8, [101] * 8)


async def test_a_new_policy_moves_no_sequence(tmp_path):
    """Where states are is remembered by the process, not by a generation."""
    opened: list[Gateway] = []
    async with central(tmp_path / "one") as (one, _), central(tmp_path / "two") as (two, _):
        async with edge(tmp_path / "edge", one["grpc"], two["http"], opened) as ports:
            async with http_aio.InferenceServerClient(f"127.0.0.1:{ports['http']}") as client:
                for number in range(1, 9):
                    await total("http", client, 1, number, start=True)
                file = tmp_path / "edge" / "policy.yaml"
                file.write_text(file.read_text().replace("generation: 1", "generation: 2"))
                await opened[0].reload()
                number_in_force = opened[0].generation().number
                remembered = repr(opened[0].foundation.parts.placements)
                found = [await total("http", client, 1, number, end=True) for number in range(1, 9)]
                left = repr(opened[0].foundation.parts.placements)

    assert number_in_force == 2
    assert found == [2] * 8
    assert (remembered, left) == ("<Placements 8>", "<Placements 0>")


async def test_a_lost_endpoint_is_told_and_a_start_goes_elsewhere(tmp_path):
    """The state is gone with the endpoint; the client begins anew, and has a sequence."""
    async with AsyncExitStack() as lifetimes:
        (one, _) = await lifetimes.enter_async_context(central(tmp_path / "one"))
        lost = AsyncExitStack()
        (two, _) = await lost.enter_async_context(central(tmp_path / "two"))
        ports = await lifetimes.enter_async_context(edge(tmp_path / "edge", one["grpc"], two["http"]))
        client = await lifetimes.enter_async_context(
            http_aio.InferenceServerClient(f"127.0.0.1:{ports['http']}")
        )
        for number in range(1, 21):
            await total("http", client, number, number, start=True)
        await lost.aclose()

        outcomes = []
        for number in range(1, 21):
            try:
                outcomes.append(await total("http", client, 1, number))
            except InferenceServerException as error:
                outcomes.append(error.status())
        # The endpoint is out of service after the first of these failures, or by its health check.
        anew = []
        for number in range(1, 21):
            for _ in range(20):
                try:
                    anew.append(await total("http", client, 100, number, start=True))
                    break
                except InferenceServerException:
                    await asyncio.sleep(0.1)

    kept = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert kept == [number + 1 for number in range(1, 21) if outcomes[number - 1] == number + 1]
    assert 0 < len(kept) < 20
    assert {outcome for outcome in outcomes if isinstance(outcome, str)} <= {"502", "503", "504"}
    assert anew == [100] * 20


async def test_a_step_is_never_kept(tmp_path):
    """Equal requests of a sequence have different answers, whatever cache there is."""
    async with central(tmp_path / "one") as (one, _), central(tmp_path / "two") as (two, _):
        async with edge(tmp_path / "edge", one["grpc"], two["http"]) as ports:
            async with http_aio.InferenceServerClient(f"127.0.0.1:{ports['http']}") as client:
                first = await total("http", client, 5, 9, start=True)
                found = [await total("http", client, 5, 9) for _ in range(3)]

    assert (first, found) == (5, [10, 15, 20])
