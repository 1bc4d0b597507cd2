"""Waiting for something that must not happen, without waiting for time to pass."""

from __future__ import annotations

import asyncio


async def turns(count: int = 200) -> None:
    """Let the loop turn ``count`` times: what both ends of a loopback connection can do by then is done.

    In each turn every socket with something to read is read once.
    """
    for _ in range(count):
        await asyncio.sleep(0)
