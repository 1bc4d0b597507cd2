"""Inflating, off the event loop where a body may take longer than others should wait."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from gateway.core.tensor import Buffer
from gateway.wire.compression import allowance, inflate

HERE_BYTES: Final = 1 << 20
"""What a body may become to be inflated on the spot: about a millisecond, ten times a thread's round trip."""

_THREADS: Final = 2


class Inflater:
    """Does it here when it is quick, else on one of two threads: zlib works without the interpreter's lock.

    What waits for a thread is a body that its connection has counted, so that there is a bound to it; a
    request that is cancelled meanwhile is not begun. A thread is started when it is first needed.

    Args:
        limit: bytes that a body may become.
        ratio: how many times its own size it may become.
    """

    def __init__(self, limit: int, ratio: int) -> None:
        self._limit, self._ratio = limit, ratio
        self._threads = ThreadPoolExecutor(_THREADS, "edgeway-inflate")

    def __repr__(self) -> str:
        return f"<Inflater to {self._limit} bytes, {self._ratio}-fold>"

    async def inflate(self, body: Buffer, coding: str) -> bytes:
        """Return what ``body`` stands for; a small one without waiting.

        Raises:
            GatewayError: as ``compression.inflate`` has it.
        """
        work = partial(inflate, body, coding, self._limit, self._ratio)
        if allowance(len(body), self._limit, self._ratio) <= HERE_BYTES:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
