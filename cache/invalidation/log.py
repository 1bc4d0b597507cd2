"""One region's log of invalidations, over one connection: every call is one round trip within its time."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from cache.invalidation.epochs import MAX_NAMES, EpochRow
from cache.invalidation.scope import Scope
from cache.invalidation.scripts import PUBLISH, READ, READERS, Script
from cache.invalidation.settings import InvalidationSettings
from cache.levels.redis_connection import Exchange, RedisConnection, RedisConnector
from cache.levels.redis_options import RedisOptions
from cache.levels.replies import Kind, ProtocolError, Reply, ReplyError, Word, pack
from gateway.core.clock import Clock

MAX_REPLY_BYTES: Final = 4 << 20
MAX_ROWS: Final = 500
"""Rows of one look: the event loop takes them within a few ms."""

GONE_S: Final = 3600.0
"""A reader that has not been heard of for so long is taken off the list."""

UNREADABLE: Final = (OSError, TimeoutError, ReplyError, ProtocolError)
"""What a call raises when the log cannot be reached, refuses, or lies."""

_T = TypeVar("_T")
_NO_SCRIPT: Final = "NOSCRIPT"
_KEYS: Final = ("log", "state", "names", "readers")
_LARGEST: Final = 1 << 53


class LogPlace(NamedTuple):
    """How far a reader has come: in which log, to which number, to which entry of the stream."""

    identity: str = ""
    number: int = 0
    entry: str = "0-0"


class Looked(NamedTuple):
    """What a look into a log has found.

    ``written``: the number of its last invalidation. ``oldest_ms``: the time of day of the oldest entry that
    was not seen before; None: there is none. ``malformed``: rows that nothing of ours has written.
    """

    place: LogPlace
    written: int
    rows: tuple[EpochRow, ...]
    buckets: dict[int, int]
    oldest_ms: int | None
    malformed: int

    @property
    def is_complete(self) -> bool:
        """Whether there is nothing more to read."""
        return self.place.number >= self.written


class Reader(NamedTuple):
    """A gateway process that reads a log, as the log has it; ``at_ms``: when it was last heard of."""

    name: str
    region: str
    identity: str
    number: int
    at_ms: int


class RedisLog:
    """The log of ``region``. Calls come one after another; whoever writes beside reading has one of its own.

    ``connector`` makes its connection when it is needed, and again after it was lost.
    """

    def __init__(self, region: str, connector: RedisConnector, settings: InvalidationSettings) -> None:
        self.region = region
        self._connector = connector
        self._timeout_s = settings.timeout_ms / 1000
        self._max_entries = settings.max_entries
        self._keys = tuple(f"{{{settings.namespace}}}:{region}:{key}" for key in _KEYS)
        self._connection: RedisConnection | None = None
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<RedisLog of {self.region}, {self._connection or 'not connected'}>"

    @classmethod
    def of(cls, region: str, settings: InvalidationSettings, clock: Clock) -> RedisLog:
        """Make the log of ``region``; it connects when it is first used.

        Raises:
            LevelError: its URL cannot be used.
        """
        options = RedisOptions.of(settings.redis[region], f"invalidation.redis.{region}")
        timeout_s = settings.timeout_ms / 1000
        connector = RedisConnector(options, timeout_s=timeout_s, max_bulk_bytes=MAX_REPLY_BYTES, clock=clock)
        return cls(region, connector, settings)

    async def publish(self, scope: Scope, by: str, known: str = "") -> tuple[str, int]:
        """Write an invalidation; return the log's identity and the number that it got.

        ``known``: the identity that the log had when it was last read.

        Raises:
            UNREADABLE: it may have been written all the same.
        """
        words = (known, scope.name, MAX_NAMES, self._max_entries, by)
        answer = await self._call(PUBLISH, secrets.token_hex(16), *words)
        return _understood(answer, _published)

    async def look(self, place: LogPlace, latest: EpochRow | None, reader: str, at: str) -> Looked:
        """Return what was written since ``place``, and note that ``reader`` has come to ``at``.

        ``latest``: the last invalidation of this log that is known. A log that does not know it has lost it.
        ``reader`` empty: nothing is noted.

        Raises:
            UNREADABLE: nothing is known.
        """
        name, number = (latest.scope.name, latest.number) if latest is not None else ("", 0)
        words = (place.identity, place.number, name, number, MAX_ROWS, place.entry, reader, at)
        answer = await self._call(READ, secrets.token_hex(16), *words)
        return _understood(answer, _looked)

    async def readers(self, now_ms: int) -> list[Reader]:
        """Return who reads the log, and how far each has come.

        Raises:
            UNREADABLE: nothing is known.
        """
        answer = await self._call(READERS, now_ms - int(GONE_S * 1000))
        return _understood(answer, _readers)

    async def aclose(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.abort(ConnectionAbortedError("closed"))
            await self._connection.closed
            self._connection = None

    async def _call(self, script: Script, *words: Word) -> str:
        # The wait for its turn counts: of many orders to a silent log the last must not wait for all others.
        async with asyncio.timeout(2 * self._timeout_s), self._turn:
            reply = await self._run("EVALSHA", script.digest, *words)
            if isinstance(reply, ReplyError) and reply.code == _NO_SCRIPT:
                reply = await self._run("EVAL", script.text, *words)
        if isinstance(reply, ReplyError):
            # It is reached and refuses: another server may stand behind its name by now.
            await self.aclose()
            raise reply
        if not isinstance(reply, bytes):
            raise ProtocolError("no string")
        try:
            return reply.decode("ascii")
        except UnicodeDecodeError:
            raise ProtocolError("what is written there is not ours") from None

    async def _run(self, command: str, script: str, *words: Word) -> Reply:
        if self._connection is None or not self._connection.is_open:
            self._connection = await self._connector.connect()
        connection, exchange = self._connection, _Call()
        connection.run(pack(command, script, len(self._keys), *self._keys, *words), exchange)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await exchange.reply
        finally:
            if not exchange.is_over:
                # Its reply would be taken for that of the next call.
                connection.abort(ConnectionAbortedError("a call was given up"))


class _Call:
    """One command; ``reply`` is done when its reply has come, or the connection has ended before."""

    kinds = (Kind.BULK,)

    def __init__(self) -> None:
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.is_over = False
        self._taken: Reply = None

    def take(self, reply: Reply) -> None:
        """Take the reply."""
        self._taken = reply

    def end(self, error: Exception | None) -> None:
        """Take note that it has come, or why not."""
        self.is_over = True
        if self.reply.done():
            return
        if error is None:
            self.reply.set_result(self._taken)
        else:
            self.reply.set_exception(error)


def _understood(text: str, read: Callable[[str], _T]) -> _T:
    try:
        return read(text)
    except (ValueError, IndexError):
        raise ProtocolError("what is written there is not ours") from None


def _published(text: str) -> tuple[str, int]:
    identity, number = text.split(" ")
    return identity, _number(number)


def _looked(text: str) -> Looked:
    head, *lines = text.split("\n")
    identity, count, upto, last, oldest, bad = head.split(" ")
    rows, buckets, malformed = [], {}, _number(bad)
    for line in lines:
        number, name = line.split(" ")
        if (bucket := _bucket(name)) is not None:
            # One that nothing of ours has written must not be above all that are to come.
            buckets[bucket] = min(_number(number), _number(count))
        elif (scope := Scope.parse(name)) is not None and number.isdigit():
            rows.append(EpochRow(scope, _number(number)))
        else:
            malformed += 1
    place = LogPlace(identity, min(_number(upto), _number(count)), last)
    oldest_ms = _number(oldest.partition("-")[0]) if oldest[:1].isdigit() else None
    return Looked(place, _number(count), tuple(rows), buckets, oldest_ms, malformed)


def _bucket(name: str) -> int | None:
    return int(name[1:], 16) if len(name) == 4 and name[0] == "b" else None


def _readers(text: str) -> list[Reader]:
    found = []
    for line in text.split("\n") if text else ():
        name, region, identity, number, at_ms = line.split(" ")
        found.append(Reader(name, region, identity, _number(number), _number(at_ms)))
    return found


def _number(text: str) -> int:
    number = int(text)
    if not 0 <= number <= _LARGEST:
        raise ValueError(text)
    return number


_: tuple[type[Exchange], Sequence[Kind]] = (_Call, _Call.kinds)
