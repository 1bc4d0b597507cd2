"""An edge and central tiers as processes of their own, and a steady stream of requests to the edge."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from edge_models.samples import digits

RATE = 100
"""Requests per second, at fixed times whatever becomes of those before."""

NAME = "central.test"
"""Has two addresses, for the edge alone."""

_CENTRAL = """\
role: central
region: home
listen: {{http: null, grpc: '{address}', admin: '127.0.0.1:{admin}'}}
models: {{repository: '{repository}'}}
"""
_EDGE = """\
role: edge
region: home
listen: {{http: '127.0.0.1:{http}', grpc: null, admin: '127.0.0.1:{admin}'}}
policy: policy.yaml
{models}"""
_POLICY = """\
generation: 1
regions: {{home: {{serves: [EU]}}}}
residency: {{anywhere: {{regions: ["*"]}}}}
tenants: {{anonymous: {{residency: anywhere}}}}
endpoints:
{endpoints}
routes:
- {{name: digits, match: {{model: digits}}, {cascade}endpoints: [{names}]}}
"""


@dataclass(frozen=True)
class Answer:
    """When a request was sent (loop time), how it ended, and whether somebody vouches for the answer."""

    sent: float
    status: int
    certified: bool
    message: str = ""


class Process:
    """One ``edgeway serve``, or another ``command``. ``hosts``: what it alone has for ``/etc/hosts``."""

    def __init__(
        self, file: Path, *, hosts: Path | None = None, command: Callable[[Path], list[str]] | None = None
    ) -> None:
        self._file = file
        self._command = command or _serve
        # In a mount namespace of its own, so that nobody else sees its names.
        named = f'mount --bind {hosts} /etc/hosts && exec "$@"'
        self._prefix = ("unshare", "-m", "sh", "-c", named, "sh") if hosts else ()
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> float:
        """Start it and return the loop time at which it logs that it is ready."""
        self._process = await self._started()
        assert self._process.stderr is not None
        line = b""
        async with asyncio.timeout(60):
            while b"is ready" not in line:
                line = await self._process.stderr.readline()
                if not line:
                    raise RuntimeError(f"{self._file.name} did not start")
        self._reading = asyncio.create_task(self._process.stderr.read())
        return asyncio.get_running_loop().time()

    async def launch(self) -> None:
        """Start what does not log that it is ready."""
        self._process = await self._started()
        assert self._process.stderr is not None
        self._reading = asyncio.create_task(self._process.stderr.read())

    async def _started(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._prefix,
            *self._command(self._file),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send it a signal, and wait for its end."""
        if self._process is not None:
            self._process.send_signal(number)
            await self._process.wait()
            await self._reading
            self._process = None


def _serve(file: Path) -> list[str]:
    return [str(Path(sys.executable).with_name("edgeway")), "serve", str(file)]


class World:
    """``addresses`` are where central tiers listen; ``endpoints`` what the policy calls them."""

    def __init__(
        self,
        folder: Path,
        addresses: list[str],
        endpoints: dict[str, str],
        *,
        cascade: bool,
        ports: list[int],
    ) -> None:
        http, admin, *others = ports
        self._url = f"http://127.0.0.1:{http}/v2/models/{digits.MODEL}/infer"
        self.centrals = []
        for number, (address, port) in enumerate(zip(addresses, others, strict=False)):
            file = folder / f"central{number}.yaml"
            text = _CENTRAL.format(address=address, admin=port, repository=digits.CENTRAL_REPOSITORY)
            file.write_text(text)
            self.centrals.append(Process(file))
        definitions = "\n".join(
            f"  {name}: {{tier: central, region: home, protocol: grpc, address: '{address}'}}"
            for name, address in endpoints.items()
        )
        (folder / "policy.yaml").write_text(
            _POLICY.format(
                endpoints=definitions,
                names=", ".join(endpoints),
                cascade="cascade: {on_central_down: serve_edge}, " if cascade else "",
            )
        )
        models = f"models: {{repository: '{digits.EDGE_REPOSITORY}'}}\n" if cascade else ""
        (folder / "edge.yaml").write_text(_EDGE.format(http=http, admin=admin, models=models))
        (folder / "hosts").write_text(
            "".join(f"{address} {NAME}\n" for address in ("127.0.0.1", "127.0.0.2"))
        )
        is_named = any(address.startswith(NAME) for address in endpoints.values())
        self.edge = Process(folder / "edge.yaml", hosts=folder / "hosts" if is_named else None)
        pixels = digits.as_input(digits.load_split("test")[0])
        self._bodies = [_body(row) for row in pixels[:500].tolist()]
        self.answers: list[Answer] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start everything, and send ``RATE`` requests a second until the block ends."""
        try:
            for process in (*self.centrals, self.edge):
                await process.start()
            async with aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(30), connector=aiohttp.TCPConnector(limit=0)
            ) as session:
                sending = asyncio.create_task(self._send_requests(session))
                try:
                    yield
                finally:
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)
        finally:
            for process in (self.edge, *self.centrals):
                await process.end()

    async def _send_requests(self, session: aiohttp.ClientSession) -> None:
        loop = asyncio.get_running_loop()
        began, number = loop.time(), 0
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(max(0.0, began + number / RATE - loop.time()))
                group.create_task(self._send_request(session, self._bodies[number % len(self._bodies)]))
                number += 1

    async def _send_request(self, session: aiohttp.ClientSession, body: bytes) -> None:
        sent = asyncio.get_running_loop().time()
        async with session.post(self._url, data=body) as response:
            text = await response.text()
            certified = response.headers.get("x-edgeway-certified", "") == "true"
            message = "" if response.status == 200 else text[:200]
            self.answers.append(Answer(sent, response.status, certified, message))


def _body(row: list[float]) -> bytes:
    tensor = {"name": digits.INPUT, "datatype": "FP32", "shape": [1, len(row)], "data": row}
    return json.dumps({"inputs": [tensor]}).encode()
