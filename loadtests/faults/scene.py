"""Central tiers as processes, what has faults before each, a proxy, and requests at a fixed rate."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import aiohttp

from edge_models.samples import digits
from loadtests.faults.faulty_member import FaultyMember
from loadtests.faults.subjects import Layout, write_edge, write_envoy
from loadtests.outages.world import Process
from loadtests.peers.envoy import Envoy

CALM_S: Final = 4.0
MEMBERS: Final = 3
_IN_USE: Final = 5
_IN_USE_S: Final = 45.0
_START_S: Final = 60.0
_DEADLINE_S: Final = 12.0

_CENTRAL: Final = """\
role: central
region: home
listen: {{http: '127.0.0.1:{http}', grpc: null, admin: null}}
models: {{repository: '{repository}'}}
resilience: {{drain: {{drain_time_s: 0, drain_timeout_s: 5}}}}
"""


@dataclass(frozen=True)
class Outcome:
    """When a request was sent and ended, in loop time, and with which status; 0: without one."""

    sent: float
    ended: float
    status: int


class Tiers:
    """The central tiers, for one scenario after the other."""

    def __init__(self, folder: Path) -> None:
        self.ports = free_ports(MEMBERS)
        self.processes = []
        for number, port in enumerate(self.ports):
            file = folder / f"central{number}.yaml"
            file.write_text(_CENTRAL.format(http=port, repository=digits.CENTRAL_REPOSITORY))
            self.processes.append(Process(file))
        self._running = [False] * MEMBERS

    async def start(self) -> None:
        """Start those that do not run."""
        for number, process in enumerate(self.processes):
            if not self._running[number]:
                await process.start()
                self._running[number] = True

    async def kill(self, number: int) -> None:
        """SIGKILL."""
        self._running[number] = False
        await self.processes[number].end(signal.SIGKILL)

    async def end(self) -> None:
        """End all of them."""
        for process in self.processes:
            await process.end()


@dataclass
class Scene:
    """What a scenario acts on, and what it leaves: when the fault began and ended, ``cuts`` connections."""

    members: Sequence[FaultyMember]
    tiers: Tiers
    hosts: Path
    began: float = 0.0
    ended: float = 0.0
    cuts: list[float] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    async def in_use(self, numbers: Sequence[int]) -> None:
        """Wait until these members have had requests, for a while: one that was slow at first has few."""
        least = [len(self.members[number].came) + _IN_USE for number in numbers]
        until = asyncio.get_running_loop().time() + _IN_USE_S
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.1)
            if all(len(self.members[each].came) >= few for each, few in zip(numbers, least, strict=True)):
                return

    async def down(self, *numbers: int, kill: bool = False) -> None:
        """Let members refuse connections and reset those that are open; ``kill`` their tiers as well."""
        self.cuts.append(asyncio.get_running_loop().time())
        for number in numbers:
            await self.members[number].down()
        for number in numbers if kill else ():
            await self.tiers.kill(number)

    async def up(self, *numbers: int) -> None:
        """Let members take connections again."""
        for number in numbers:
            await self.members[number].up()

    def name(self, *hosts: str) -> None:
        """Let the name have these addresses; the file stays the same one, for it is mounted."""
        self.hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{host} central.test\n" for host in hosts))


@asynccontextmanager
async def staged(
    folder: Path, tiers: Tiers, layout_of: Callable[[Sequence[FaultyMember]], Layout], envoy: Envoy | None
) -> AsyncIterator[tuple[Scene, Load]]:
    """Set everything up before one proxy: Envoy, or an edge where that is None."""
    (member_port, http, admin) = free_ports(3)
    members = [
        FaultyMember(f"127.0.0.{1 + number}", member_port, port) for number, port in enumerate(tiers.ports)
    ]
    scene = Scene(members, tiers, folder / "hosts")
    scene.name("127.0.0.1", "127.0.0.2")
    layout = layout_of(members)
    hosts = scene.hosts if layout.is_named else None
    await tiers.start()
    for member in members:
        await member.up()
    if envoy is None:
        proxy = Process(write_edge(folder, layout, http, admin), hosts=hosts)
        await proxy.start()
    else:
        proxy = Process(write_envoy(folder, layout, http), hosts=hosts, command=envoy.started_with)
        await proxy.launch()
    try:
        async with Load(http, scene.outcomes) as load:
            yield scene, load
    finally:
        await proxy.end(signal.SIGKILL)
        for member in members:
            await member.down()


class Load:
    """Requests to one port."""

    def __init__(self, port: int, outcomes: list[Outcome]) -> None:
        self._url = f"http://127.0.0.1:{port}/v2/models/{digits.MODEL}/infer"
        self._outcomes = outcomes
        pixels = digits.as_input(digits.load_split("test")[0])
        self._bodies = [_body(row) for row in pixels[:200].tolist()]

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(_DEADLINE_S), connector=aiohttp.TCPConnector(limit=0)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ready(self) -> None:
        """Wait until requests are answered."""
        async with asyncio.timeout(_START_S):
            while True:
                if (await self._ask(0)).status == 200:
                    return
                await asyncio.sleep(0.1)

    async def run(self, rate: float) -> None:
        """Send ``rate`` requests a second until cancelled, whatever becomes of those before."""
        loop = asyncio.get_running_loop()
        began, number = loop.time(), 0
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
                group.create_task(self._note(number))
                number += 1

    async def _note(self, number: int) -> None:
        self._outcomes.append(await self._ask(number))

    async def _ask(self, number: int) -> Outcome:
        loop = asyncio.get_running_loop()
        sent, status = loop.time(), 0
        try:
            async with self._session.post(
                self._url, data=self._bodies[number % len(self._bodies)]
            ) as response:
                await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError):
            pass
        return Outcome(sent, loop.time(), status)


def _body(row: list[float]) -> bytes:
    tensor = {"name": digits.INPUT, "datatype": "FP32", "shape": [1, len(row)], "data": row}
    return json.dumps({"inputs": [tensor]}).encode()


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody has now."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports
