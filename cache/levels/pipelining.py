"""Commands of many callers in few round trips, none of which outlives its limit.

Commands submitted in one tick of the event loop leave together in one pipeline. While all connections
are busy, commands gather for the next that gets free: the busier Redis is, the longer the pipelines.

A caller waits for a bare future and takes only that along when it leaves: no connection is ever abandoned
between a command and its reply, which is how replies come to the wrong caller. The limit is one timer per
pipeline, from its first command to its last reply; a pipeline that outlives it ends its connection.

Connecting has a limit of its own. It goes on in the background, one connection at a time, whoever leaves
meanwhile: a pipeline that runs out of time while its connection is made is a miss, and the next one finds
the connection. While a connection is late and there is no other, nobody waits for it.

One pipeline is one piece of evidence for the gate: counted per command, a single hiccup under load would
open a breaker. For those that waited for a connection in vain, the connection's own end is the evidence.
"""

from __future__ import annotations

import asyncio
from typing import Final

from cache.levels.redis_connection import RENEW_S, RedisConnection, RedisConnector
from cache.levels.replies import Kind, ProtocolError, Reply, ReplyError, Word, pack
from gateway.core.gate import Gate, Pass

Outcome = Reply | BaseException
"""What a command gets: its reply, or the exception it met, which is an answer too and never raised."""

MOST_COMMANDS: Final = 512

_ELSEWHERE: Final = frozenset({"READONLY", "NOREPLICAS", "LOADING", "MASTERDOWN", "NOAUTH"})
"""Refusals of a server that is not the master of the moment, or not yet: the name may lead elsewhere now."""

_OUT_OF_SERVICE: Final = frozenset({"LOADING", "MASTERDOWN", "NOAUTH"})
"""Refusals of every command: evidence against the server, unlike READONLY, which still reads."""


class _Batch:
    """Commands that share a fate, and the futures of those who wait for it."""

    __slots__ = (
        "_done",
        "_pipeline",
        "code",
        "connection",
        "futures",
        "gate_pass",
        "kinds",
        "payload",
        "timer",
    )

    def __init__(self, pipeline: AutoPipeline, gate_pass: Pass) -> None:
        self.gate_pass = gate_pass
        self.kinds: list[Kind] = []
        self.payload: list[bytes] = []
        self.futures: list[asyncio.Future[Outcome]] = []
        self.timer: asyncio.TimerHandle
        self.connection: RedisConnection | None = None
        self.code = ""
        self._pipeline = pipeline
        self._done = 0

    def add(self, kind: Kind, command: tuple[Word, ...]) -> asyncio.Future[Outcome]:
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.kinds.append(kind)
        self.payload.append(pack(*command))
        self.futures.append(future)
        return future

    def take(self, reply: Reply) -> None:
        if isinstance(reply, ReplyError) and reply.code in _ELSEWHERE:
            self.code = reply.code
        future = self.futures[self._done]
        self._done += 1
        if not future.done():
            future.set_result(reply)

    def end(self, error: Exception | None) -> None:
        self.resolve(error)
        self._pipeline.finish(self, error)

    def resolve(self, error: BaseException | None) -> None:
        """Give ``error`` to all who have no reply yet."""
        self.timer.cancel()
        for future in self.futures[self._done :]:
            if not future.done():
                future.set_result(error)
        self._done = len(self.futures)


class AutoPipeline:
    """Sends commands in pipelines over at most ``connections`` connections of ``connector``."""

    def __init__(self, connector: RedisConnector, gate: Gate, *, timeout_s: float, connections: int) -> None:
        self._connector = connector
        self._gate = gate
        self._timeout_s = timeout_s
        self._connections = connections
        self._gathering: _Batch | None = None
        self._running: set[_Batch] = set()
        self._open: set[RedisConnection] = set()
        self._idle: list[RedisConnection] = []
        self._connecting: asyncio.Task[RedisConnection] | None = None
        self._connect_after_s = 0.0
        self._unproven: list[Pass] = []
        self._ended: asyncio.Future[None] | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        gathering = len(self._gathering.futures) if self._gathering else 0
        return f"<AutoPipeline {len(self._running)} of {self._connections} running, {gathering} gathering>"

    def submit(self, kind: Kind, *command: Word) -> asyncio.Future[Outcome] | None:
        """Return a future of the reply, which cancelling harms nobody else; None when not admitted.

        ``kind`` is what the command gets if all is well. The future never raises: an error reply, a lost
        connection or a ``TimeoutError`` is its result.
        """
        batch = self._gathering
        if batch is None:
            # With unproven passes and no connection, one is late: who waits for it waits in vain.
            is_late = bool(self._unproven) and not self._open
            gate_pass = None if self._is_closed or is_late else self._gate.admit()
            if gate_pass is None:
                return None
            batch = self._gather(gate_pass)
        elif len(batch.futures) >= MOST_COMMANDS:
            return None
        return batch.add(kind, command)

    async def join(self) -> None:
        """Wait until everything submitted so far has its reply or has run out of time."""
        while self._gathering is not None or self._running:
            if self._ended is None:
                self._ended = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._ended)

    async def aclose(self) -> None:
        """Admit nothing more, wait until all commands have ended, and let go of all connections."""
        self._is_closed = True
        await self.join()
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        closing = [connection.closed for connection in self._open]
        for connection in list(self._open):
            self._drop(connection)
        if closing:
            await asyncio.wait(closing)

    def finish(self, batch: _Batch, error: Exception | None) -> None:
        """Take note that ``batch``, which was sent, has all its replies or met ``error``."""
        self._running.discard(batch)
        connection = batch.connection
        assert connection is not None, "it was sent"
        if batch.code:
            self._connector.renew()
        if error is not None or batch.code in _OUT_OF_SERVICE:
            batch.gate_pass.failed(_reason(error) if error else batch.code.lower())
        else:
            batch.gate_pass.succeeded()
        if connection.is_open:
            self._idle.append(connection)
        self._note_end()
        self._send()

    def _gather(self, gate_pass: Pass) -> _Batch:
        loop = asyncio.get_running_loop()
        batch = self._gathering = _Batch(self, gate_pass)
        batch.timer = loop.call_later(self._timeout_s, self._expire, batch)
        loop.call_soon(self._send)
        return batch

    def _send(self) -> None:
        batch = self._gathering
        if batch is None:
            return
        connection = self._take_idle()
        if connection is None:
            self._widen()
            return
        self._gathering = None
        batch.connection = connection
        self._running.add(batch)
        connection.run(b"".join(batch.payload), batch)

    def _take_idle(self) -> RedisConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if self._connector.is_current(connection):
                return connection
            self._connector.closed("renewed")
            self._drop(connection)
        return None

    def _drop(self, connection: RedisConnection) -> None:
        connection.on_close = None
        self._open.discard(connection)
        connection.abort(ConnectionAbortedError("no longer of use"))

    def _widen(self) -> None:
        """Begin another connection, unless one is being made or there are as many as may be."""
        loop = asyncio.get_running_loop()
        if len(self._open) >= self._connections or self._connecting is not None:
            return
        if self._open and loop.time() < self._connect_after_s:
            return
        self._connecting = loop.create_task(self._connector.connect())
        self._connecting.add_done_callback(self._take_outcome)

    def _take_outcome(self, connecting: asyncio.Task[RedisConnection]) -> None:
        self._connecting = None
        if connecting.cancelled():
            self._end_waiting(ConnectionAbortedError("closing"), is_evidence=False)
            return
        error = connecting.exception()
        if error is None:
            self._take_connection(connecting.result())
        else:
            self._take_failure(error)
        self._send()

    def _take_connection(self, connection: RedisConnection) -> None:
        if not connection.is_open:
            self._take_failure(ConnectionResetError("lost as soon as it was made"))
            return
        self._open.add(connection)
        self._idle.append(connection)
        connection.on_close = self._lost
        # Those that ran out of time met a slow way, which is no failure. Nor is it a success: a server that
        # is too slow for commands may yet be quick enough to connect to.
        for gate_pass in self._unproven:
            gate_pass.left()
        self._unproven = []

    def _take_failure(self, error: BaseException) -> None:
        self._connector.closed(_reason(error))
        if self._open:
            # The others do. Whatever refuses one more is not asked again at every command.
            self._connect_after_s = asyncio.get_running_loop().time() + RENEW_S
        else:
            self._end_waiting(error, is_evidence=True)

    def _end_waiting(self, error: BaseException, *, is_evidence: bool) -> None:
        """End what waits for a connection that could not be made: one piece of evidence, if it is any."""
        passes, self._unproven = self._unproven, []
        batch, self._gathering = self._gathering, None
        if batch is not None:
            passes.append(batch.gate_pass)
            batch.resolve(error)
        for gate_pass in passes[1:]:
            gate_pass.left()
        if passes and is_evidence:
            passes[0].failed(_reason(error))
        elif passes:
            passes[0].left()
        self._note_end()

    def _lost(self, connection: RedisConnection, error: Exception) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._connector.closed(_reason(error))

    def _expire(self, batch: _Batch) -> None:
        if batch.connection is not None:
            batch.connection.abort(TimeoutError())
            return
        self._gathering = None
        batch.resolve(TimeoutError())
        if self._connecting is not None and not self._open:
            self._unproven.append(batch.gate_pass)
        else:
            # Those that kept it waiting are the evidence, not this one.
            batch.gate_pass.left()
        self._note_end()

    def _note_end(self) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended.set_result(None)


def _reason(error: BaseException) -> str:
    """Return in one word what ended a pipeline or a connection."""
    if isinstance(error, ReplyError):
        return error.code.lower() if error.code in _ELSEWHERE else "error"
    if isinstance(error, ProtocolError):
        return "protocol"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, TimeoutError):
        return "timeout"
    return "reset" if isinstance(error, OSError) else "error"
