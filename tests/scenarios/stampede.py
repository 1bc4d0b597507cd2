"""Gateways in processes of their own that share one Redis, before one central tier that counts.

Example::

    async with gateways(tmp_path, 2, redis.url, central.port) as served:
        statuses = await ask(served, waiters=50)
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from tests.fakes.served import INFER, Served
from tests.scenarios.world import PIXELS, POLICY

ROUTE = POLICY.replace("  cascade: {{on_central_down: {down}}}\n", "")
HANG_S = 120.0
SECRET = "5a" * 32
"""Without one, nothing in Redis is believed of a model of which nothing is known yet."""


@asynccontextmanager
async def gateways(
    folder: Path, count: int, redis_url: str, central_port: int, *, cache: str = "", more: str = ""
) -> AsyncIterator[list[Served]]:
    """``cache`` and ``more``: further fields of the settings' cache, and further sections of resilience."""
    with ExitStack() as lifetimes:
        served = [
            _served(folder / f"gateway-{each}", redis_url, central_port, cache, more) for each in range(count)
        ]
        for each in served:
            lifetimes.enter_context(each)
        for each in served:
            await asyncio.to_thread(each.wait_ready)
        yield served


def _served(folder: Path, redis_url: str, central_port: int, cache: str, more: str) -> Served:
    folder.mkdir()
    served = Served(folder)
    served.write_policy(1, ROUTE, port=central_port, protocol="http")
    text = served.settings.read_text()
    level = f"redis: {{url: '{redis_url}', timeout_ms: 1000, connect_timeout_ms: 1000}}"
    text = text.replace(
        "16777216}",
        f"16777216}}\n  {level}\n  jitter: 0\n  early_beta: 0\n  stale_if_error_s: 0\n  key_secret: {SECRET}{cache}",
    )
    served.settings.write_text(text.replace("resilience:\n", f"resilience:\n{more}"))
    return served


def body(image: int) -> bytes:
    """A request for one picture, as it is sent."""
    data = PIXELS[image].astype("<f4").tobytes()
    tensor = {"name": "image", "shape": [1, 784], "datatype": "FP32"}
    head = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": len(data)}}]}).encode()
    lines = b"host: x\r\ninference-header-content-length: %d\r\ncontent-length: %d" % (
        len(head),
        len(head) + len(data),
    )
    return b"POST %b HTTP/1.1\r\n%b\r\n\r\n%b%b" % (INFER.encode(), lines, head, data)


async def ask(served: Sequence[Served], waiters: int, images: Sequence[int] = (0,)) -> Counter[int]:
    """Have so many clients ask each gateway for each picture, all at a time; count the statuses."""
    bodies = [body(image) for image in images]
    asked = [_ask(each.http, text) for text in bodies for each in served for _ in range(waiters)]
    return Counter(await asyncio.gather(*asked))


async def _ask(port: int, text: bytes) -> int:
    async with asyncio.timeout(HANG_S):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.closing(writer):
                writer.write(text)
                line = await reader.readline()
                return int(line.split()[1])
        except (OSError, IndexError):
            return 0


def metric(served: Served, line: str) -> float:
    """The value of one series; 0 where there is none yet."""
    for text in served.get(served.admin, "/metrics")[1].splitlines():
        if text.startswith(line + " "):
            return float(text.rpartition(" ")[2])
    return 0.0


def leases(served: Sequence[Served], outcome: str) -> float:
    """How many leases of all have had this outcome."""
    series = f'edgeway_cache_leases_total{{level="l2",outcome="{outcome}"}}'
    return sum(metric(each, series) for each in served)


def outcomes(served: Sequence[Served]) -> list[dict[str, float]]:
    """What became of the leases and look-ups of each, for tests that fail."""
    series = ("edgeway_cache_leases_total{", "edgeway_cache_lookups_total{", "edgeway_cache_writes_lost")
    return [
        {
            line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
            for line in each.get(each.admin, "/metrics")[1].splitlines()
            if line.startswith(series)
        }
        for each in served
    ]
