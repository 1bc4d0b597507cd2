"""Where Envoy sends requests: one cluster of answering ports on loopback, counted at the proxy's client."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

from loadtests.peers.envoy import Envoy, configuration

_START_S: Final = 20.0
_AT_ONCE: Final = 8

Group = tuple[int, int, Sequence[tuple[int, bool]]]
"""Weight, priority, and of each member its number and whether it is well."""


async def shares(
    envoy: Envoy, folder: Path, groups: Iterable[Group], keys: Sequence[str], *, lb_policy: str
) -> list[int]:
    """Send one request for each of ``keys``; return the number of the member that answered each."""
    groups = list(groups)
    numbers = [number for _, _, members in groups for number, _ in members]
    async with AsyncExitStack() as running:
        ports = {number: await running.enter_async_context(_member(number)) for number in numbers}
        port = _free_port()
        cluster = _cluster(groups, ports, lb_policy)
        config = folder / "balancing.json"
        config.write_text(json.dumps(configuration(port, cluster, hash_header="x-key")))
        await running.enter_async_context(_proxy(envoy, config, port))
        return await _ask(port, keys)


def _cluster(groups: Sequence[Group], ports: dict[int, int], lb_policy: str) -> dict[str, Any]:
    localities = [
        {
            "locality": {"region": f"r{number}"},
            "load_balancing_weight": weight,
            "priority": priority,
            "lb_endpoints": [
                {
                    "health_status": "HEALTHY" if is_well else "UNHEALTHY",
                    # A ring goes by addresses otherwise, and ports are others in the next run.
                    "metadata": {"filter_metadata": {"envoy.lb": {"hash_key": f"10.0.0.{member}:80"}}},
                    "endpoint": {
                        "address": {"socket_address": {"address": "127.0.0.1", "port_value": ports[member]}}
                    },
                }
                for member, is_well in members
            ],
        }
        for number, (weight, priority, members) in enumerate(groups)
    ]
    return {
        "name": "upstream",
        "type": "STATIC",
        "lb_policy": lb_policy,
        "common_lb_config": {
            "healthy_panic_threshold": {"value": 0},
            **({} if lb_policy == "RING_HASH" else {"locality_weighted_lb_config": {}}),
        },
        "load_assignment": {"cluster_name": "upstream", "endpoints": localities},
    }


@asynccontextmanager
async def _member(number: int) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = str(number).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(head + body)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def _proxy(envoy: Envoy, config: Path, port: int) -> AsyncIterator[None]:
    words = envoy.started_with(config)
    process = await asyncio.create_subprocess_exec(*words, env=envoy.environment())
    try:
        async with asyncio.timeout(_START_S):
            await _until_open(port, process)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _until_open(port: int, process: asyncio.subprocess.Process) -> None:
    while process.returncode is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise RuntimeError(f"Envoy has ended with {process.returncode}")


async def _ask(port: int, keys: Sequence[str]) -> list[int]:
    gate = asyncio.Semaphore(_AT_ONCE)
    async with aiohttp.ClientSession() as session:

        async def one(key: str) -> int:
            async with gate, session.get(f"http://127.0.0.1:{port}/", headers={"x-key": key}) as answer:
                return int(await answer.text()) if answer.status == 200 else -1

        return await asyncio.gather(*map(one, keys))


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
