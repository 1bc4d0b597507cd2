"""Case `reload`: what requests notice of a policy of a thousand routes that comes into force meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from loadtests.bench import servers, world
from loadtests.bench.planning import LARGE, policy_of
from loadtests.bench.results import Result, Row, Target, spreads
from loadtests.bench.rounds import Bench, cores

CLIENTS: Final = 4
EVERY_S: Final = 0.02
CALM_S: Final = 4.0
AROUND_S: Final = 3.0
"""Requests that are sent so long after a SIGHUP are of the reload, which takes about a second."""

MEMBERS: Final = tuple(f"127.0.0.{number}" for number in range(1, LARGE[2] + 1))

TARGET: Final = Target(1.5, at_least=False)

Change = Callable[[dict[str, Any]], None]


def _nothing(policy: dict[str, Any]) -> None:
    """Another generation of the same."""


def _members(policy: dict[str, Any]) -> None:
    """All members are connected to in another way, so that each is built anew."""
    for endpoint in policy["endpoints"].values():
        endpoint["attempt_timeout_ms"] = 4_000 + policy["generation"]


CHANGES: Final[dict[str, Change]] = {"routes": _nothing, "routes and members": _members}


@dataclass(slots=True)
class Times:
    """Requests: when each was sent, and what it took, in seconds."""

    sent: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)

    def between(self, begin: float, end: float) -> list[float]:
        """Return what those took that were sent in between."""
        return [took for sent, took in zip(self.sent, self.took, strict=True) if begin <= sent < end]


def measure(bench: Bench) -> Result:
    """Send requests at a steady rate, and a SIGHUP; compare the slowest with the p99 of before."""
    os.sched_setaffinity(0, {cores()[1]})
    upstream_port, port = servers.free_port(), servers.free_port()
    upstream = servers.Command(
        words=[sys.executable, "-m", "loadtests.bench.fixed_upstream", str(upstream_port), *MEMBERS],
        port=upstream_port,
        log=bench.folder / "upstream.log",
        on=(cores()[1],),
    )
    settings = _write(bench.folder, port, upstream_port)
    # As operators have it: a reload may use a core that the loop does not.
    edge = servers.edgeway(settings, port, on=cores())
    rows, details = [], {}
    with servers.server(upstream), servers.server(edge) as pid:
        world_body, headers = world.wire_request()
        servers.ask(port, world_body, headers)
        generation = 1
        for what, change in CHANGES.items():
            calm, slowest = [], []
            for _ in range(bench.effort.rounds):
                generation += 1
                before, during = asyncio.run(_round(bench.folder, pid, port, upstream_port, generation, change))
                calm.append(float(np.percentile(before, 99)) * 1000)
                slowest.append(max(during) * 1000)
                details[f"{what}, p99 of the reload"] = details.get(f"{what}, p99 of the reload", [])
                details[f"{what}, p99 of the reload"].append(float(np.percentile(during, 99)) * 1000)
            rows.append(
                Row.against(
                    "p99 before",
                    calm,
                    what=f"slowest request while {LARGE[0]} {what} come into force",
                    unit="ms",
                    target=TARGET,
                    ours=slowest,
                )
            )
    return Result(rows=tuple(rows), details={"ms": spreads(details)})


async def _round(
    folder: Path, pid: int, port: int, upstream_port: int, generation: int, change: Change
) -> tuple[list[float], list[float]]:
    """Return what requests took before a reload, and during it."""
    times, stop = Times(), asyncio.Event()
    clients = [asyncio.create_task(_client(port, times, stop)) for _ in range(CLIENTS)]
    await asyncio.sleep(CALM_S)
    text = _policy(upstream_port, generation, change)
    file = folder / "policy.yaml.new"
    file.write_text(text)
    file.rename(folder / "policy.yaml")
    began = time.perf_counter()
    os.kill(pid, signal.SIGHUP)
    await asyncio.sleep(AROUND_S)
    stop.set()
    await asyncio.gather(*clients)
    return times.between(began - CALM_S + 0.5, began - 0.1), times.between(began, began + AROUND_S)


async def _client(port: int, times: Times, stop: asyncio.Event) -> None:
    """Send a request every so often, each on its own time: one that is late does not hide the next."""
    body, headers = world.wire_request()
    lines = {"Host": "here", "Content-Length": str(len(body)), **headers}
    head = f"POST {world.PATH} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
    sent = head.encode() + body
    reader, writer = await asyncio.open_connection(world.ADDRESS, port)
    due = time.perf_counter()
    while not stop.is_set():
        due += EVERY_S
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        writer.write(sent)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the edge answers {answer[:80]!r}")
        length = int(answer.lower().split(b"\r\ncontent-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        times.sent.append(began)
        times.took.append(time.perf_counter() - began)
    writer.close()


def _write(folder: Path, port: int, upstream_port: int) -> Path:
    (folder / "policy.yaml").write_text(_policy(upstream_port, 1, _nothing))
    settings = folder / "gateway.yaml"
    settings.write_text(
        json.dumps(
            {
                "role": "edge",
                "region": "r0",
                "listen": {"http": f"{world.ADDRESS}:{port}", "grpc": None, "admin": None},
                "policy": "policy.yaml",
                "resilience": {"drain": {"drain_time_s": 0, "drain_timeout_s": 5}},
            }
        )
    )
    return settings


def _policy(upstream_port: int, generation: int, change: Change) -> str:
    policy = policy_of(LARGE, "failover")
    policy["generation"] = generation
    policy["endpoints"]["central-r0"]["addresses"] = [f"{address}:{upstream_port}" for address in MEMBERS]
    policy["routes"][-1]["match"] = {"model": "digits"}
    change(policy)
    return json.dumps(policy)
