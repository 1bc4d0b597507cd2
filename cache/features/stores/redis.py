"""An online store in Redis: strings, hashes, or one hash. Many entities leave in one pipeline.

Redis is read within bounds (decision 0025): no value larger than ``max_vector_bytes``, no reply of another
kind. An entity under whose name something else is (another type, a cut vector) has failed, and no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from cache.features.settings import StoreSettings
from cache.features.stores.store import Outcome, Store
from cache.features.vectors import READERS, StoreError
from cache.levels.pipelining import MOST_COMMANDS, AutoPipeline
from cache.levels.pipelining import Outcome as Answer
from cache.levels.redis_connection import RedisConnector
from cache.levels.redis_options import RedisOptions
from cache.levels.replies import Kind, ProtocolError, ReplyError, Word
from gateway.core.clock import Clock
from gateway.core.errors import GatewayError
from gateway.core.gate import Gate
from gateway.core.tensor import split_bytes

IDS_BYTES: Final = 4 << 20
"""Of one part of a listing at most: a set of few elements comes whole."""
_IDS_TIMEOUT_S: Final = 2.0
_COUNT: Final = 1000

# One string, because of arrays only their announced lengths would be bounded: each element's length, and it.
_SCRIPT: Final = """\
local found
if ARGV[1] == 'SCAN' then
  found = redis.call('SCAN', ARGV[2], 'MATCH', ARGV[3], 'COUNT', ARGV[4])
else
  found = redis.call(ARGV[1], KEYS[1], ARGV[2], 'COUNT', ARGV[4])
end
local parts, step = {struct.pack('<I4', #found[1]), found[1]}, ARGV[1] == 'HSCAN' and 2 or 1
for i = 1, #found[2], step do
  parts[#parts + 1] = struct.pack('<I4', #found[2][i])
  parts[#parts + 1] = found[2][i]
end
return table.concat(parts)
"""


class RedisStore:
    """The store at ``settings.redis``. Nothing is connected before it is first asked.

    Raises:
        LevelError: the URL cannot be parsed.
    """

    def __init__(self, settings: StoreSettings, *, gate: Gate, clock: Clock) -> None:
        assert settings.redis is not None, "it is a store in Redis"
        self._settings = settings
        options, connect_s = RedisOptions.of(settings.redis), settings.connect_timeout_ms / 1000
        self._timeout_s = settings.timeout_ms / 1000
        self._under_way = 0
        self._room = asyncio.Condition()
        self._read = READERS[settings.format]
        self._values = AutoPipeline(
            RedisConnector(
                options, timeout_s=connect_s, max_bulk_bytes=settings.max_vector_bytes + 1, clock=clock
            ),
            gate,
            timeout_s=self._timeout_s,
            connections=settings.max_connections - 1,
        )
        self._ids = AutoPipeline(
            RedisConnector(options, timeout_s=connect_s, max_bulk_bytes=IDS_BYTES, clock=clock),
            gate,
            timeout_s=_IDS_TIMEOUT_S,
            connections=1,
        )

    def __repr__(self) -> str:
        return f"<RedisStore {self._values}>"

    async def fetch(self, names: Sequence[bytes]) -> Sequence[Outcome]:
        """Return the outcomes of ``names``, which are ``MOST_COMMANDS`` at most, after one round trip.

        While a pipeline could not take them they wait, for ``timeout_ms`` at most.
        """
        try:
            async with asyncio.timeout(self._timeout_s), self._room:
                await self._room.wait_for(lambda: self._under_way + len(names) <= MOST_COMMANDS)
                self._under_way += len(names)
        except TimeoutError as error:
            raise StoreError("backlog") from error
        try:
            pending = [self._values.submit(Kind.BULK, *self._command(name)) for name in names]
            answers = [await each for each in pending if each is not None]
        finally:
            self._under_way -= len(names)
            async with self._room:
                self._room.notify_all()
        if len(answers) < len(names):
            raise StoreError("skipped")
        return [self._outcome(answer) for answer in answers]

    async def known_ids(self) -> AsyncIterator[Sequence[bytes]]:
        """Yield the ids that Redis has, a part at a time."""
        command, key, prefix = self._listing()
        pattern, cursor = _literal(prefix) + b"*", b"0"
        while True:
            words = (_SCRIPT, int(bool(key)), *((key,) if key else ()), command, cursor, pattern, _COUNT)
            pending = self._ids.submit(Kind.BULK, "EVAL", *words)
            if pending is None:
                raise StoreError("skipped")
            cursor, names = _part(await pending)
            yield [name[len(prefix) :] for name in names]
            if cursor == b"0":
                return

    async def aclose(self) -> None:
        """Wait for what is under way, and close all connections."""
        await self._values.aclose()
        await self._ids.aclose()

    def _command(self, name: bytes) -> tuple[Word, ...]:
        settings = self._settings
        if settings.hash is not None:
            return ("HGET", settings.hash, name)
        key = settings.prefix.encode() + name
        # The end of the range is part of it, so a value one byte too long shows.
        return (
            ("HGET", key, settings.field)
            if settings.field
            else ("GETRANGE", key, 0, settings.max_vector_bytes)
        )

    def _listing(self) -> tuple[str, str, bytes]:
        """Return the command that lists ids, of which key, and what each begins with."""
        settings = self._settings
        if settings.known_ids is not None and settings.known_ids.set:
            return "SSCAN", settings.known_ids.set, b""
        if settings.hash is not None:
            return "HSCAN", settings.hash, b""
        return "SCAN", "", settings.prefix.encode()

    def _outcome(self, answer: Answer) -> Outcome:
        if isinstance(answer, ReplyError):
            # Another type under this name: that of no other entity.
            return StoreError("wrong_type" if answer.code == "WRONGTYPE" else "refused")
        if isinstance(answer, BaseException):
            raise StoreError(_reason(answer)) from answer
        if not answer:
            # GETRANGE gives an empty string for what is not there.
            return None
        if isinstance(answer, int) or len(answer) > self._settings.max_vector_bytes:
            return StoreError("too_large")
        try:
            return self._read(answer)
        except StoreError as error:
            return error


def _part(answer: Answer) -> tuple[bytes, list[bytes]]:
    if isinstance(answer, BaseException):
        raise StoreError(_reason(answer)) from answer
    if not isinstance(answer, bytes):
        raise StoreError("garbage")
    try:
        cursor, *names = split_bytes(answer)
    except (GatewayError, ValueError) as error:
        raise StoreError("garbage") from error
    return cursor, names


def _literal(prefix: str | bytes) -> bytes:
    """Return a pattern of Redis that matches ``prefix`` and nothing else."""
    text = prefix if isinstance(prefix, bytes) else prefix.encode()
    return b"".join(b"\\" + bytes([each]) if each in b"*?[]^\\-" else bytes([each]) for each in text)


def _reason(error: BaseException) -> str:
    if isinstance(error, ReplyError):
        return "refused"
    if isinstance(error, ProtocolError):
        return "protocol"
    return "timeout" if isinstance(error, TimeoutError) else "reset"


_: type[Store] = RedisStore
