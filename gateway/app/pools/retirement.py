"""Closing members that are no longer needed, once no request can be cut by it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Final, Protocol

from gateway.app.pools.member import PoolMember
from gateway.core.clock import Clock

_LOOK_S: Final = 0.5


class Closed(Protocol):
    """What runs for a pool, beside its members."""

    async def aclose(self) -> None:
        """End it."""
        ...


class Retirement:
    """Holds members that have left until they are closed; meanwhile they report nothing."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ending: set[asyncio.Task[None]] = set()
        self._closing: dict[asyncio.Task[None], PoolMember] = {}

    def __repr__(self) -> str:
        return f"<Retirement of {len(self)}>"

    def __len__(self) -> int:
        return len(self._closing)

    def after(self, member: PoolMember, grace_s: float) -> None:
        """Close ``member`` after ``grace_s``: until then requests may hold it that have not come to it."""
        self._begin(member, grace_s)

    def when_idle(self, member: PoolMember) -> None:
        """Close ``member``, which no request can come to, when those under way there have ended."""
        self._begin(member, None)

    def close(self, closed: Closed) -> None:
        """End what runs for a pool that is in use no longer."""
        task = asyncio.create_task(closed.aclose())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def aclose(self) -> None:
        """Close all of them now."""
        await asyncio.gather(*self._ending)
        closing = list(self._closing.items())
        for task, _ in closing:
            task.cancel()
        await asyncio.gather(*(task for task, _ in closing), return_exceptions=True)
        async with AsyncExitStack() as stack:
            # Also those whose task has never taken its first step, and so has closed nothing.
            for _, member in closing:
                stack.push_async_callback(member.aclose)

    def _begin(self, member: PoolMember, grace_s: float | None) -> None:
        member.parts.health.retire()
        task = asyncio.create_task(self._retire(member, grace_s))
        self._closing[task] = member
        task.add_done_callback(lambda task: self._closing.pop(task, None))

    async def _retire(self, member: PoolMember, grace_s: float | None) -> None:
        try:
            if grace_s is not None:
                await self._clock.sleep(grace_s)
            else:
                while member.active:
                    await self._clock.sleep(_LOOK_S)
        finally:
            await member.aclose()
