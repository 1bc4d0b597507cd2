"""Where models are loaded: each in a thread of its own, some at a time, and nobody waits for one for ever."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from edge_models.threads import run_apart
from gateway.core.errors import Fault, GatewayError

T = TypeVar("T")

AT_ONCE: Final = 4
"""Models that are loaded at the same time (Triton's ``--model-load-thread-count``)."""
MOST_WAITING: Final = 64
"""Orders that may wait, over all models."""
MOST_LEFT: Final = 8
"""Threads that may be left to loads that do not end."""


class Loads:
    """Takes the orders for one model one after the other, and those for several models at the same time."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)
        self._locks: dict[str, asyncio.Lock] = {}
        self._orders: Counter[str] = Counter()
        self._left = 0
        self._idle = asyncio.Event()

    def __repr__(self) -> str:
        return (
            f"<Loads {self._orders.total()} orders for {len(self._orders)} models, {self._left} left behind>"
        )

    @asynccontextmanager
    async def turn(self, model: str) -> AsyncIterator[None]:
        """Wait until no other order for ``model`` is carried out.

        Raises:
            GatewayError: OVERLOADED.
        """
        orders = self._orders
        if orders.total() >= MOST_WAITING:
            raise GatewayError(
                Fault.OVERLOADED, f"{orders.total()} orders to load and unload models wait: try again later"
            )
        orders[model] += 1
        try:
            async with self._locks.setdefault(model, asyncio.Lock()):
                yield
        finally:
            orders[model] -= 1
            if not orders[model]:
                del orders[model], self._locks[model]
            if not orders:
                self._idle.set()

    async def idle(self) -> None:
        """Wait until no order is carried out, nor waits."""
        while self._orders:
            self._idle.clear()
            await self._idle.wait()

    async def run(self, work: Callable[[], T], timeout_s: float) -> T:
        """Run ``work``, which blocks, in a thread.

        Raises:
            TimeoutError: it did not end in time; its thread is left to itself.
            GatewayError: UNAVAILABLE, when too many threads were left so.
        """
        async with self._places:
            if self._left >= MOST_LEFT:
                raise GatewayError(
                    Fault.UNAVAILABLE, f"{self._left} models do not end being loaded: restart this process"
                )
            answer = asyncio.wrap_future(run_apart("load", work))
            try:
                await asyncio.wait((answer,), timeout=timeout_s)
            finally:
                # Also when whoever gave the order has left: nothing ends the thread.
                if not answer.done():
                    self._left += 1
                    answer.add_done_callback(self._came_back)
            if not answer.done():
                raise TimeoutError
            return answer.result()

    def _came_back(self, answer: asyncio.Future[T]) -> None:
        self._left -= 1
        if not answer.cancelled():
            answer.exception()  # nobody waits for it any more
