"""The heartbeats of the workers: one that stands still is killed, so that it is replaced."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from gateway.app.workers.standstill import BEAT_S, MISSED, Sight, look_at, why_still

_LOG: Final = logging.getLogger("edgeway.workers")


class Pulse(asyncio.Protocol):
    """The parent's end of the pipe in which one worker reports: a first byte when it serves, then heartbeats.

    ``beats``: how many bytes have come. ``is_over``: none will come any more.
    """

    def __init__(self) -> None:
        self.beats, self.is_over = 0, False
        self._began = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Pulse {'over' if self.is_over else 'open'} after {self.beats} beats>"

    def data_received(self, data: bytes) -> None:
        """Count heartbeats."""
        self.beats += len(data)
        self._began.set()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Take note that the worker has ended, or is about to."""
        self.is_over = True
        self._began.set()

    async def began(self) -> bool:
        """Wait for the first byte; false when it does not come."""
        await self._began.wait()
        return self.beats > 0


class Beating(Protocol):
    """A worker, as its heartbeats are watched."""

    @property
    def pulse(self) -> Pulse:
        """What it has sent."""
        ...

    @property
    def pid(self) -> int:
        """Its process."""
        ...

    def kill(self) -> None:
        """Let it be no longer ready, and end its process."""
        ...


class _Seen:
    """``before``: how the worker was when it missed the first heartbeat in a row."""

    def __init__(self) -> None:
        self.beats = self.missed = 0
        self.before: Sight | None = None


class Heartbeats:
    """Watches the workers ``alive``; ``look``: at a process, as ``look_at`` does."""

    def __init__(self, alive: Iterable[Beating], *, look: Callable[[int], Sight | None] = look_at) -> None:
        self._alive, self._look = alive, look
        self._seen: dict[Beating, _Seen] = {}

    def __repr__(self) -> str:
        missing = sum(seen.missed > 0 for seen in self._seen.values())
        return f"<Heartbeats of {len(self._seen)} workers, {missing} stay out>"

    async def watch(self) -> None:
        """Check every worker once per heartbeat; runs until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + BEAT_S
            await asyncio.sleep(BEAT_S)
            self.check(late_s=loop.time() - due)

    def check(self, *, late_s: float) -> None:
        """Count the heartbeats that stay out, and kill the workers that stand still.

        ``late_s``: how much later than it should this check comes. Where the parent itself did not get its
        time, the machine stood still, and nothing is known of the workers.
        """
        alive = set(self._alive)
        self._seen = {worker: self._seen.get(worker) or _Seen() for worker in alive}
        for worker, seen in self._seen.items():
            pulse = worker.pulse
            if pulse.is_over or pulse.beats > seen.beats or late_s > BEAT_S:
                seen.beats, seen.missed = pulse.beats, 0
                continue
            self._miss(worker, seen)

    def _miss(self, worker: Beating, seen: _Seen) -> None:
        seen.missed += 1
        if seen.missed == 1:
            seen.before = self._look(worker.pid)
        if seen.missed < MISSED:
            return
        has_begun = worker.pulse.beats > 0
        if why := why_still(seen.missed, seen.before, self._look(worker.pid), has_begun=has_begun):
            _LOG.error("%r stands still and is killed: %s", worker, why)
            worker.kill()
