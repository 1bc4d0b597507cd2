"""Decompresses request bodies, off the event loop where it may take long."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from gateway.core.tensor import Buffer
from gateway.wire.compression import allowance, inflate

HERE_BYTES: Final = 1 << 20
"""Bytes that a body may become to be inflated on the event loop: that takes about a millisecond, ten times as
long as the way to a thread and back."""

_THREADS: Final = 2


class Inflater:
    """Inflates on the event loop when it is quick, else on one of two threads (zlib releases the GIL).

    Bodies that wait for a thread are counted by their connections, which bounds them; one whose request is
    cancelled meanwhile is not inflated. A thread is started when it is first needed.

    Args:
        limit: bytes that a body may become.
        ratio: how many times its own size it may become.
    """

    def __init__(self, limit: int, ratio: int) -> None:
        self._limit, self._ratio = limit, ratio
        self._threads = ThreadPoolExecutor(_THREADS, "edgeway-inflate")

    def __repr__(self) -> str:
        return f"<Inflater to {self._limit} bytes, {self._ratio}-fold>"

    async def inflate(self, body: Buffer, coding: str) -> Buffer:
        """Decompress ``body``; a small one without waiting.

        Raises:
            GatewayError: as ``compression.inflate`` has it.
        """
        work = partial(inflate, body, coding, self._limit, self._ratio)
        if allowance(len(body), self._limit, self._ratio) <= HERE_BYTES:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
