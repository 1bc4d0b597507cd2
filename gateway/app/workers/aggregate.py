"""The admin port of several workers: every worker is queried, and each series has a label with its worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

_LOG: Final = logging.getLogger("edgeway.workers")
_LIMIT_S: Final = 2.0
_HEALTH_LIMIT_S: Final = 0.5
"""Load balancers do not wait long for a health report, so a worker that hangs is left out of it soon."""

Serving = Callable[[], Sequence[tuple[int, Path]]]


class AggregateAdmin:
    """Queries the workers on their UNIX sockets. ``serving``: number and socket of those that serve."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def __repr__(self) -> str:
        return f"<AggregateAdmin of {len(self._serving())} workers>"

    async def metrics(self) -> bytes:
        """Return the metrics of all workers in one exposition, each series with a label ``worker``.

        Counters of workers add up in a query (``sum without (worker) (…)``). A worker that does not answer
        is left out, as Prometheus would leave out a target that is down.
        """
        return merge(await self._query("/metrics"))

    async def policy(self) -> Mapping[str, Any]:
        """Return the policy report of the first worker, and the generations of all of them."""
        reports = [(number, msgspec.json.decode(body)) for number, body in await self._query("/policy")]
        if not reports:
            return {"generation": 0, "file": "", "error": "no worker answers"}
        generations = {str(number): report["generation"] for number, report in reports}
        return {**reports[0][1], "workers": generations}

    async def stack(self) -> Mapping[str, Any]:
        """Return the stacks of the first worker, and the generations of all of them."""
        reports = [(number, msgspec.json.decode(body)) for number, body in await self._query("/stack")]
        if not reports:
            return {"generation": 0, "shared": [], "routes": {}, "endpoints": {}, "workers": {}}
        generations = {str(number): report["generation"] for number, report in reports}
        return {**reports[0][1], "workers": generations}

    async def health(self) -> Mapping[int, Mapping[str, Any]]:
        """Return the health report of each worker; one that is slow is left out."""
        reports = await self._query("/readyz", limit_s=_HEALTH_LIMIT_S)
        return {number: msgspec.json.decode(body) for number, body in reports}

    async def _query(self, path: str, limit_s: float = _LIMIT_S) -> list[tuple[int, bytes]]:
        workers = sorted(self._serving())
        bodies = await asyncio.gather(*(self._query_one(*worker, path, limit_s) for worker in workers))
        return [(number, body) for (number, _), body in zip(workers, bodies, strict=True) if body is not None]

    async def _query_one(self, number: int, file: Path, path: str, limit_s: float) -> bytes | None:
        connector = aiohttp.UnixConnector(str(file))
        timeout = aiohttp.ClientTimeout(total=limit_s)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.get(f"http://worker{path}") as response,
            ):
                return await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            _LOG.warning("worker %d does not answer for itself: %s", number, type(error).__name__)
            return None


def merge(expositions: Iterable[tuple[int, bytes]]) -> bytes:
    """Join Prometheus text expositions: each metric's HELP and TYPE once, its series with their worker."""
    heads: dict[str, list[str]] = {}
    series: dict[str, list[str]] = {}
    for number, text in expositions:
        metric = ""
        for line in text.decode().split("\n"):
            if line.startswith("# HELP "):
                metric = line.split(" ", 3)[2]
                if metric not in heads:
                    heads[metric], series[metric] = [line], []
            elif line.startswith("# TYPE "):
                if len(heads[metric]) == 1:
                    heads[metric].append(line)
            elif line:
                series[metric].append(_labelled(line, number))
    lines = (line for metric, head in heads.items() for line in (*head, *series[metric]))
    return "".join(f"{line}\n" for line in lines).encode()


def _labelled(line: str, number: int) -> str:
    """Add the label to a series. A name ends at its first brace or blank, and no brace comes before."""
    name, brace, rest = line.partition("{")
    if brace and " " not in name:
        return f'{name}{{worker="{number}",{rest}'
    name, _, value = line.partition(" ")
    return f'{name}{{worker="{number}"}} {value}'
