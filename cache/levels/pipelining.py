"""Commands of many callers in few round trips, none of which outlives its limit.

Commands submitted in one tick of the event loop leave together in one pipeline. While all connections
are busy, commands gather for the next that gets free: the busier Redis is, the longer the pipelines.

A pipeline runs in a task of its own and a caller waits for a bare future. So a caller who leaves takes
only its future along: no connection is ever abandoned between a command and its reply, which is how
replies come to the wrong caller. The limit is one timer per pipeline, from its first command to its
last reply, and covers waiting for a connection, connecting, sending and reading alike; redis-py's own
timeouts apply to each step anew.

One pipeline is one piece of evidence for the gate. Counted per command, a single hiccup under load
would open a breaker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.core.gate import Gate, Pass

Word = bytes | str | int
Reply = Any
"""What redis-py returns for a command, or the exception it met: an answer either way, never raised."""

MOST_COMMANDS: Final = 512


class _Batch:
    """Commands that share a fate, and the futures of those who wait for it."""

    __slots__ = ("commands", "futures", "gate_pass", "task", "timer")

    def __init__(self, gate_pass: Pass) -> None:
        self.gate_pass = gate_pass
        self.commands: list[tuple[Word, ...]] = []
        self.futures: list[asyncio.Future[Reply]] = []
        self.timer: asyncio.TimerHandle
        self.task: asyncio.Task[None] | None = None

    def resolve(self, replies: list[Reply]) -> None:
        self.timer.cancel()
        for future, reply in zip(self.futures, replies, strict=True):
            if not future.done():
                future.set_result(reply)
        # Of the replies and the timer, whichever comes second finds no future to resolve.
        self.futures = []


class AutoPipeline:
    """Sends commands in pipelines over at most ``connections`` connections of ``client``."""

    def __init__(self, client: Redis, gate: Gate, *, timeout_s: float, connections: int) -> None:
        self._client = client
        self._gate = gate
        self._timeout_s = timeout_s
        self._connections = connections
        self._gathering: _Batch | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def __repr__(self) -> str:
        gathering = len(self._gathering.commands) if self._gathering else 0
        return f"<AutoPipeline {len(self._running)} of {self._connections} running, {gathering} gathering>"

    def submit(self, *command: Word) -> asyncio.Future[Reply] | None:
        """Return a future of the reply, which cancelling harms nobody else; None when not admitted.

        The future never raises: an error reply, a lost connection or a ``TimeoutError`` is its result.
        """
        batch = self._gathering
        if batch is None:
            gate_pass = None if self._is_closed else self._gate.admit()
            if gate_pass is None:
                return None
            batch = self._gather(gate_pass)
        elif len(batch.commands) >= MOST_COMMANDS:
            return None
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        batch.commands.append(command)
        batch.futures.append(future)
        return future

    async def join(self) -> None:
        """Wait until everything submitted so far has its reply or has run out of time."""
        while self._gathering is not None or self._running:
            if self._running:
                await asyncio.wait(set(self._running))
            else:
                # What gathers is sent when this tick ends.
                await asyncio.sleep(0)

    async def aclose(self) -> None:
        """Admit nothing more, and wait until all commands have ended."""
        self._is_closed = True
        await self.join()

    def _gather(self, gate_pass: Pass) -> _Batch:
        loop = asyncio.get_running_loop()
        batch = self._gathering = _Batch(gate_pass)
        batch.timer = loop.call_later(self._timeout_s, self._expire, batch)
        loop.call_soon(self._send)
        return batch

    def _send(self) -> None:
        batch = self._gathering
        if batch is None or len(self._running) >= self._connections:
            return
        self._gathering = None
        batch.task = asyncio.create_task(self._run(batch))
        self._running.add(batch.task)
        batch.task.add_done_callback(self._free)

    def _free(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._send()

    async def _run(self, batch: _Batch) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for command in batch.commands:
            pipeline.execute_command(*command)
        try:
            replies = await pipeline.execute(raise_on_error=False)
        except asyncio.CancelledError:
            # The timer resolves the batch before it cancels; else the loop is shutting down.
            self._end(batch, [ConnectionError()] * len(batch.futures), batch.gate_pass.left)
            raise
        except Exception as error:  # noqa: BLE001 - a server gone mad may make the client raise anything
            verdict = partial(batch.gate_pass.failed, _reason(error))
            self._end(batch, [error] * len(batch.futures), verdict)
        else:
            self._end(batch, replies, batch.gate_pass.succeeded)

    def _expire(self, batch: _Batch) -> None:
        timeouts: list[Reply] = [TimeoutError()] * len(batch.futures)
        if batch.task is None:
            # It never had a connection. Those that kept it waiting are the evidence, not this one.
            self._gathering = None
            self._end(batch, timeouts, batch.gate_pass.left)
        else:
            self._end(batch, timeouts, partial(batch.gate_pass.failed, "timeout"))
            batch.task.cancel()

    def _end(self, batch: _Batch, replies: list[Reply], verdict: Callable[[], None]) -> None:
        if batch.futures:
            verdict()
            batch.resolve(replies)


def _reason(error: Exception) -> str:
    """Return in one word why the pipeline failed: the reason is in the causes of the client's errors."""
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, ConnectionRefusedError):
        return "refused"
    if "imeout" in type(error).__name__:
        return "timeout"
    return "reset" if isinstance(error, RedisConnectionError | OSError) else "error"
