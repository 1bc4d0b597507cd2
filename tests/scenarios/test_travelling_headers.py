"""The settings of what travels hold in a whole process: ids, forwarded headers, the server's name."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import aiohttp
import pytest
import tritonclient.grpc.aio as grpc_client
import tritonclient.http.aio as http_client

from gateway.wire.oip import json as oip_json
from gateway.wire.oip.paths import model_path
from tests.scenarios.world import CONFIDENT, World, picture

LISTEN = "admin: '127.0.0.1:0'"


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_a_forwarded_header_is_part_of_what_is_asked(tmp_path: Path, protocol: str) -> None:
    """The edge, which has not been measured with it, defers; each value has an answer of its own."""
    world = World(tmp_path, protocol=protocol)
    world.change_settings("region: here\n", "region: here\nupstreams: {forward_headers: [x-my-*]}\n")
    async with world:
        told = [
            (await ask(world, **headers))["x-edgeway-provenance"]
            for headers in (
                {"x-my-a": "1"},
                {"x-my-a": "1"},
                {"x-my-a": "2"},
                {"x-other": "1"},
                {"x-other": "2"},
            )
        ]

    assert told == [
        "central",
        "cache;level=l1;origin=central",
        "central",
        "edge",
        "cache;level=l1;origin=edge",
    ]


@pytest.mark.parametrize("makes_ids", [True, False])
async def test_ids_of_misses_and_hits(tmp_path: Path, makes_ids: bool) -> None:
    """Each answer has another, out of memory, too; none where none are made."""
    world = World(tmp_path)
    if not makes_ids:
        world.change_settings(LISTEN, f"{LISTEN}, transport: {{generate_request_id: false}}")
    async with world:
        answers = [await ask(world) for _ in range(5)]
        mine = [await ask(world, **{"x-request-id": "mine"}) for _ in range(5)]

    made = [answer.get("x-request-id") for answer in answers]
    assert [answer["x-request-id"] for answer in mine] == ["mine"] * 5
    if makes_ids:
        assert len({UUID(str(each)) for each in made}) == 5
    else:
        assert made == [None] * 5


async def test_the_servers_name(tmp_path: Path) -> None:
    """Clients that look for Triton's find it, over both wires."""
    world = World(tmp_path)
    world.change_settings(LISTEN, f"{LISTEN}, protocol: {{server_name: triton}}")
    async with world:
        ports = world.edge.servers
        async with http_client.InferenceServerClient(f"127.0.0.1:{ports.http.port}") as client:
            over_http = await client.get_server_metadata()
        async with grpc_client.InferenceServerClient(f"127.0.0.1:{ports.grpc.port}") as client:
            over_grpc = await client.get_server_metadata()

    assert (over_http["name"], over_grpc.name) == ("triton", "triton")


async def ask(world: World, **headers: str) -> dict[str, str]:
    """Ask for one picture over HTTP; returns the answer's headers."""
    body = oip_json.encode_request(picture(CONFIDENT))
    url = f"http://127.0.0.1:{world.edge.servers.http.port}{model_path('digits', '', 'infer')}"
    sent = {**headers, "inference-header-content-length": str(body.header_length)}
    async with (
        aiohttp.ClientSession() as client,
        client.post(url, data=body.join(), headers=sent) as answer,
    ):
        assert answer.status == 200, await answer.text()
        await answer.read()
        return {name.lower(): value for name, value in answer.headers.items()}
