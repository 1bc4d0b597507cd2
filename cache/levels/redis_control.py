"""Questions about where Redis is, each on a connection of its own and within the bounds of all others."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from cache.levels.redis_connection import Exchange, RedisConnector
from cache.levels.redis_options import RedisOptions
from cache.levels.replies import Kind, ProtocolError, Reply, ReplyError, Word, pack
from gateway.core.clock import Clock

MOST_BYTES: Final = 1 << 20
"""The longest text that a server may say about others: a thousand nodes need a sixth."""

_PAIR: Final = 2


class _Question:
    """The exchange of one command. A pair of strings is the one array that there may be."""

    def __init__(self, kind: Kind) -> None:
        self.kinds = [kind]
        self.done: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()
        self._replies: list[Reply] = []

    def take(self, reply: Reply) -> None:
        """Take the next reply."""
        if self.kinds == [Kind.ARRAY]:
            if reply == _PAIR:
                self.kinds += [Kind.BULK] * _PAIR
                return
            if isinstance(reply, int):
                raise ProtocolError(f"an array of {reply}, where a pair was asked for")
        self._replies.append(reply)

    def end(self, error: Exception | None) -> None:
        """Take note that all has come, or why not."""
        if self.done.done():
            return
        if error is not None:
            self.done.set_exception(error)
        else:
            self.done.set_result(self._replies)


async def ask(
    options: RedisOptions, kind: Kind, *command: Word, timeout_s: float, clock: Clock
) -> list[bytes]:
    """Return what the server says to ``command``: a string, or a pair of them; nothing where it knows none.

    Raises:
        OSError, TimeoutError: it cannot be reached, or does not answer in time.
        ReplyError, ProtocolError: it refuses, or lies.
    """
    connector = RedisConnector(options, timeout_s=timeout_s, max_bulk_bytes=MOST_BYTES, clock=clock)
    async with asyncio.timeout(timeout_s):
        connection = await connector.connect()
        try:
            question = _Question(kind)
            connection.run(pack(*command), question)
            replies = await question.done
        finally:
            connection.abort(ConnectionAbortedError("no longer of use"))
            await connection.closed
    for reply in replies:
        if isinstance(reply, ReplyError):
            raise reply
    return [reply for reply in replies if isinstance(reply, bytes)]


class MasterFinder:
    """Finds the master ``name`` of the moment by asking ``sentinels`` in turn, each call the next one first.

    One that is behind the others is asked again only after them.
    """

    def __init__(
        self,
        name: str,
        sentinels: tuple[RedisOptions, ...],
        options: RedisOptions,
        *,
        timeout_s: float,
        clock: Clock,
    ) -> None:
        self._name = name
        self._sentinels = sentinels
        self._options = options
        self._timeout_s = timeout_s / len(sentinels)
        self._clock = clock
        self._turn = 0

    def __repr__(self) -> str:
        return f"<MasterFinder {self._name}, {len(self._sentinels)} sentinels>"

    async def __call__(self) -> RedisOptions:
        """Return how to connect to the master.

        Raises:
            ConnectionError: no Sentinel says where it is.
        """
        first, self._turn = self._turn, self._turn + 1
        for place in range(len(self._sentinels)):
            sentinel = self._sentinels[(first + place) % len(self._sentinels)]
            try:
                said = await ask(
                    sentinel,
                    Kind.ARRAY,
                    *("SENTINEL", "get-master-addr-by-name", self._name),
                    timeout_s=self._timeout_s,
                    clock=self._clock,
                )
            except (OSError, TimeoutError, ReplyError, ProtocolError):
                continue
            if len(said) == _PAIR and said[1].isdigit() and int(said[1]) < 1 << 16:
                return replace(self._options, host=said[0].decode("utf-8", "replace"), port=int(said[1]))
        raise ConnectionError("no sentinel says where the master is")


_: type[Exchange] = _Question
