"""Which server has a name: one, the master of the moment, or the node of a cluster that has its slot."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol

from cache.levels.pipelining import AutoPipeline, Outcome
from cache.levels.redis_connection import RedisConnector
from cache.levels.redis_options import RedisOptions
from cache.levels.replies import Kind, ReplyError, Word
from gateway.core.gate import Gate


class RedisNode:
    """One server with a gate of its own: reads over all connections but one, writes in order over that."""

    def __init__(
        self,
        options: RedisOptions,
        connector: RedisConnector,
        gate: Gate,
        *,
        timeout_s: float,
        connections: int,
    ) -> None:
        self.options = options
        self.connector = connector
        self.reads = AutoPipeline(connector, gate, timeout_s=timeout_s, connections=connections - 1)
        self.writes = AutoPipeline(connector, gate, timeout_s=timeout_s, connections=1)

    def __repr__(self) -> str:
        return f"reads {self.reads}, writes {self.writes}"

    async def join(self) -> None:
        """Wait until all that was sent has ended."""
        await self.reads.join()
        await self.writes.join()

    async def aclose(self) -> None:
        """Finish what was written and close all connections."""
        await self.writes.aclose()
        await self.reads.aclose()


class RedisTarget(NamedTuple):
    """Where a command goes. ``asks``: the slot is being moved there, and the node has to be told."""

    node: RedisNode
    asks: bool = False

    def read(self, kind: Kind, *command: Word) -> asyncio.Future[Outcome] | None:
        """Send a look-up; None: not admitted."""
        return self._submit(self.node.reads, kind, command)

    def write(self, kind: Kind, *command: Word) -> asyncio.Future[Outcome] | None:
        """Send a write; None: not admitted."""
        return self._submit(self.node.writes, kind, command)

    def _submit(
        self, pipeline: AutoPipeline, kind: Kind, command: tuple[Word, ...]
    ) -> asyncio.Future[Outcome] | None:
        # In one tick, so that both are neighbours in one pipeline.
        if self.asks and pipeline.submit(Kind.STATUS, "ASKING") is None:
            return None
        return pipeline.submit(kind, *command)


class RedisRoutes(Protocol):
    """What knows the servers."""

    most_hops: int
    """How often a command may be sent on."""

    def target(self, name: str) -> RedisTarget:
        """Return where the command about ``name`` goes."""
        ...

    def onward(self, error: BaseException | None, met: RedisTarget, epoch: int) -> RedisTarget | None:
        """Return where a command goes that met ``error``; None: nowhere. None for not admitted."""
        ...

    async def join(self) -> None:
        """Wait until all that was sent has ended."""
        ...

    async def aclose(self) -> None:
        """Finish what was written and close all connections."""
        ...


class OneRedis:
    """The routes of one server, or of the master of the moment."""

    most_hops = 1

    def __init__(self, node: RedisNode) -> None:
        self._target = RedisTarget(node)

    def __repr__(self) -> str:
        return repr(self._target.node)

    def target(self, name: str) -> RedisTarget:  # noqa: ARG002 - there is but one
        """Return the server."""
        return self._target

    def onward(self, error: BaseException | None, met: RedisTarget, epoch: int) -> RedisTarget | None:
        """Return the server again for what met a replica, if its connections have been made anew since."""
        # The connections are made anew, at most once a second: a write can be on the new one.
        is_renewed = isinstance(error, ReplyError) and error.code == "READONLY"
        return met if is_renewed and met.node.connector.epoch != epoch else None

    async def join(self) -> None:
        """Wait until all that was sent has ended."""
        await self._target.node.join()

    async def aclose(self) -> None:
        """Finish what was written and close all connections."""
        await self._target.node.aclose()


_: type[RedisRoutes] = OneRedis
