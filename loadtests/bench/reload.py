"""Case `reload`: what requests notice of a policy of a thousand routes that comes into force meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
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


@dataclass(frozen=True, slots=True)
class Seen:
    """What one reload did to the requests."""

    p99_before_ms: float
    p99_ms: float
    slowest_ms: float


def measure(bench: Bench) -> Result:
    """Send requests at a steady rate, and a SIGHUP; compare the slowest with the p99 of before."""
    upstream_port, port = servers.free_port(), servers.free_port()
    upstream = servers.Command(
        words=[sys.executable, "-m", "loadtests.bench.fixed_upstream", str(upstream_port), *MEMBERS],
        port=upstream_port,
        log=bench.folder / "upstream.log",
        on=(cores()[1],),
    )
    # As operators have it: a reload may use a core that the loop does not.
    edge = servers.edgeway(_write(bench.folder, port, upstream_port), port, on=cores())
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[1]})
    try:
        with servers.server(upstream), servers.server(edge) as pid:
            body, headers = world.wire_request()
            servers.ask(port, body, headers)
            generations = count(2)

            def reload(change: Change) -> Seen:
                text = _policy(upstream_port, next(generations), change)
                return asyncio.run(_reload(bench.folder, pid, port, text))

            seen = {
                what: [reload(change) for _ in range(bench.effort.rounds)] for what, change in CHANGES.items()
            }
    finally:
        os.sched_setaffinity(0, before)
    return _result(seen)


def _result(seen: Mapping[str, Sequence[Seen]]) -> Result:
    rows = tuple(
        Row.against(
            "p99 before",
            [each.p99_before_ms for each in rounds],
            what=f"slowest request while {LARGE[0]} {what} come into force",
            unit="ms",
            target=TARGET,
            ours=[each.slowest_ms for each in rounds],
        )
        for what, rounds in seen.items()
    )
    p99 = {f"{what}, p99 meanwhile": [each.p99_ms for each in rounds] for what, rounds in seen.items()}
    return Result(rows=rows, details={"ms": spreads(p99)})


async def _reload(folder: Path, pid: int, port: int, text: str) -> Seen:
    """Have the policy in ``text`` come into force while requests go on."""
    times, stop = Times(), asyncio.Event()
    clients = [asyncio.create_task(_client(port, times, stop)) for _ in range(CLIENTS)]
    await asyncio.sleep(CALM_S)
    file = folder / "policy.yaml.new"
    file.write_text(text)
    file.rename(folder / "policy.yaml")
    began = time.perf_counter()
    os.kill(pid, signal.SIGHUP)
    await asyncio.sleep(AROUND_S)
    stop.set()
    await asyncio.gather(*clients)
    calm = times.between(began - CALM_S + 0.5, began - 0.1)
    meanwhile = times.between(began, began + AROUND_S)
    return Seen(_ms(calm, 99), _ms(meanwhile, 99), _ms(meanwhile, 100))


def _ms(seconds: Sequence[float], percentile: float) -> float:
    return float(np.percentile(seconds, percentile)) * 1000


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
