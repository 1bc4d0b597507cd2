"""Sending recorded requests at a bounded rate, until the log ends or the gateway pushes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from gateway.commands.warm_log import RecordedLine, RecordedRequest

HIT, STALE, FILLED, UNCERTIFIED, FAILED = "hits", "stale", "filled", "uncertified", "failed"
OUTCOMES: Final = (HIT, STALE, FILLED, UNCERTIFIED, FAILED)
"""Of one request: answered by a cache, by a cache past the answer's expiry, or computed: then it is kept
where the route keeps answers, and for a moment only when it was not certified; or not answered."""

MOST_PROBLEMS: Final = 5
"""Problems that are told with their line; the others are counted."""


class Sent(msgspec.Struct, frozen=True):
    """What became of a request.

    ``pushes_back``: the gateway has too much to do, or is not there; then the request is not counted, and is
    the first to be sent by whoever goes on.
    """

    outcome: str
    problem: str = ""
    pushes_back: bool = False


@dataclass
class Progress:
    """How far it is.

    ``done``: every line up to this one is dealt with. ``stopped``: why it ended before the log did.
    """

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    done: int = 0
    problems: list[str] = field(default_factory=list)
    stopped: str = ""

    def count(self, line: int, sent: Sent) -> None:
        """Count a request."""
        self.counts[sent.outcome] += 1
        if sent.problem and len(self.problems) < MOST_PROBLEMS:
            self.problems.append(f"line {line}: {sent.problem}")


Send = Callable[[RecordedRequest], Awaitable[Sent]]


class WarmRun:
    """Sends what ``lines`` hold, ``rate`` a second at most and ``concurrency`` at once.

    ``report`` is called after every request. A line is begun only when there is a place for it, so of the log
    no more is read than is under way.
    """

    def __init__(
        self,
        send: Send,
        *,
        rate: float,
        concurrency: int,
        first: int = 1,
        report: Callable[[Progress], None] = lambda _progress: None,
    ) -> None:
        self._send, self._report = send, report
        self._interval_s = 1.0 / rate
        self._places = asyncio.Semaphore(concurrency)
        self._under_way: set[int] = set()
        self._last = first - 1
        self.progress = Progress(done=first - 1)

    def __repr__(self) -> str:
        return f"<WarmRun {self.progress.done} lines done, {len(self._under_way)} under way>"

    async def run(self, lines: Iterable[RecordedLine]) -> Progress:
        """Send them all, and return what became of them."""
        next_s = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for line in lines:
                await self._places.acquire()
                if self._is_stopped():
                    break
                self._begin(line.number)
                if line.recorded is None:
                    self._places.release()
                    self._end(line.number, Sent(FAILED, line.problem))
                    continue
                next_s = await self._paced(next_s)
                if self._is_stopped():
                    break
                group.create_task(self._one(line.number, line.recorded))
        return self.progress

    async def _paced(self, next_s: float) -> float:
        """Wait for the turn of the next request, and return that of the one after it.

        What was late is not made up for: the rate is a bound, not a mean.
        """
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, next_s - now))
        return max(next_s, now) + self._interval_s

    async def _one(self, number: int, recorded: RecordedRequest) -> None:
        try:
            sent = await self._send(recorded)
        finally:
            self._places.release()
        if not sent.pushes_back:
            self._end(number, sent)
        elif not self._is_stopped():
            self.progress.stopped = sent.problem

    def _is_stopped(self) -> bool:
        return bool(self.progress.stopped)

    def _begin(self, number: int) -> None:
        self._under_way.add(number)
        self._last = number

    def _end(self, number: int, sent: Sent) -> None:
        self._under_way.discard(number)
        self.progress.done = min(self._under_way) - 1 if self._under_way else self._last
        self.progress.count(number, sent)
        self._report(self.progress)
