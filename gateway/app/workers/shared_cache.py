"""The caches of all workers, as their parent reports them."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

import msgspec

from gateway.admin.cache_routes import MOST_TOP
from gateway.app.workers.ipc import NO_ANSWER, call
from gateway.app.workers.worker_counts import Sockets
from gateway.core.cache_inspection import CacheQuestion, Inspection, of_workers
from gateway.core.cache_levels import L2
from gateway.core.cache_report import CacheReport, merged
from gateway.core.control import CacheControl
from gateway.core.errors import Fault, GatewayError

_LIMIT_S: Final = 5.0
_SHARED: Final = frozenset({L2})
"""Levels that all workers have in common."""

_LOG: Final = logging.getLogger("edgeway.workers")


class SharedCache:
    """Every worker has a memory of its own: reports are added up, and each is looked into."""

    def __init__(self, serving: Sockets) -> None:
        self._serving = serving

    def __repr__(self) -> str:
        return f"<SharedCache of {len(self._serving())} workers>"

    async def report(self, top: int) -> CacheReport:
        """Return what all workers hold together; one that does not answer is left out."""
        # What is little in each may be much in all, so each names everything.
        found = await self._ask(f"/cache?top={MOST_TOP}", None)
        bodies = [body for _, body in found if isinstance(body, bytes)]
        return merged([msgspec.json.decode(body, type=CacheReport) for body in bodies], top)

    async def inspect(self, question: CacheQuestion) -> Inspection:
        """Return what all workers know of one answer.

        Raises:
            GatewayError: as they have it; UNAVAILABLE where none answers.
        """
        found = await self._ask("/cache/inspect", msgspec.json.encode(question))
        known = [
            (number, msgspec.json.decode(body, type=Inspection))
            for number, body in found
            if isinstance(body, bytes)
        ]
        if known:
            return of_workers(known, _SHARED)
        for _, error in found:
            if isinstance(error, GatewayError):
                raise error
        raise GatewayError(Fault.UNAVAILABLE, "no worker answers", retryable=True)

    async def _ask(self, path: str, body: bytes | None) -> list[tuple[int, bytes | GatewayError | None]]:
        workers = sorted(self._serving().items())
        answers = await asyncio.gather(*(self._ask_one(socket, path, body) for _, socket in workers))
        return [(number, answer) for (number, _), answer in zip(workers, answers, strict=True)]

    async def _ask_one(self, socket: Path, path: str, body: bytes | None) -> bytes | GatewayError | None:
        try:
            return await call(socket, path, body, limit_s=_LIMIT_S)
        except GatewayError as error:
            return error
        except NO_ANSWER as error:
            _LOG.warning("a worker does not answer for its cache: %s", type(error).__name__)
            return None


_: type[CacheControl] = SharedCache
