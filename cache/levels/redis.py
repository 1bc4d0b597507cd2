"""L2: answers in the region's Redis, which is a cache and never the truth.

Whatever Redis does costs hits, never an answer, and never more than ``timeout_ms`` per look-up:

* down, slow, stopped, loading: the gate (a breaker) shuts after a few pipelines, and look-ups are
  skipped without waiting until a probe succeeds;
* full, read-only: writes are lost and counted, reads go on;
* another type, a foreign value, a cut or altered one under our key: counted as garbage and deleted;
* a huge value: no more than ``max_value_bytes`` of it are ever read, because ``GETRANGE`` is what asks.

Writes wait for nobody and nobody waits for them. One connection carries them in the order they were
made, and at most ``WRITE_BACKLOG`` values of the largest size stand in line; what comes then is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from cache.levels.envelope import Envelope, GarbageError
from cache.levels.level import Entry, Level, LevelError
from cache.levels.pipelining import AutoPipeline, Reply, Word
from gateway.core.cache_levels import L2
from gateway.core.clock import Clock
from gateway.core.errors import printable
from gateway.core.gate import Gate
from gateway.core.telemetry import CacheLookedUp, CacheWriteLost, Telemetry

if TYPE_CHECKING:
    from cache.levels.redis_settings import RedisSettings

WRITE_BACKLOG: Final = 4
KEY_VERSION: Final = 1
"""Part of every key, so that builds with different envelopes do not delete each other's entries."""

_log = logging.getLogger("edgeway.redis")
_OUTCOMES: Final = ("miss", "garbage", "error", "skipped")


class RedisLevel:
    """The level of the region. ``secret`` is 32 bytes, the same in all gateways that share the Redis.

    Nothing is connected before the first command, so a gateway starts without its Redis.

    Raises:
        LevelError: the URL in ``settings`` cannot be parsed.
    """

    is_shared = True

    def __init__(
        self,
        settings: RedisSettings,
        secret: bytes,
        *,
        gate: Gate,
        clock: Clock,
        telemetry: Telemetry,
        name: str = L2,
    ) -> None:
        self.name = name
        timeout_s = settings.timeout_ms / 1000
        self._client = _connect(settings)
        self._reads = AutoPipeline(
            self._client, gate, timeout_s=timeout_s, connections=settings.max_connections - 1
        )
        self._writes = AutoPipeline(self._client, gate, timeout_s=timeout_s, connections=1)
        self._envelope = Envelope(secret, self.name)
        self._prefix = f"{settings.namespace}:{KEY_VERSION}:"
        self._max_value_bytes = settings.max_value_bytes
        self._clock = clock
        self._emit = telemetry.emit
        self._events = {outcome: CacheLookedUp(self.name, outcome) for outcome in _OUTCOMES}
        self._backlog_bytes = 0
        self._writes_lost = 0
        self._last_logged = ""

    def __repr__(self) -> str:
        return (
            f"<RedisLevel {self._prefix} reads {self._reads}, writes {self._writes},"
            f" {self._backlog_bytes} bytes to write, {self._writes_lost} writes lost>"
        )

    async def get(self, key: bytes) -> Entry | None:
        """Return the entry under ``key`` within ``timeout_ms``; a caller who leaves harms nobody."""
        # The end of the range is part of it, so a value one byte too long shows.
        pending = self._reads.submit("GETRANGE", self._name(key), 0, self._max_value_bytes)
        found = "skipped" if pending is None else self._judge(key, await pending)
        if isinstance(found, Entry):
            return found
        if found == "garbage":
            await self.delete(key)
        self._emit(self._events[found])
        return None

    async def put(self, key: bytes, entry: Entry) -> None:
        """Send ``entry`` off, to vanish from Redis at its hard expiry."""
        lifetime_ms = math.ceil((entry.hard_expiry - self._clock.wall()) * 1000)
        if lifetime_ms <= 0:
            return
        try:
            blob = self._envelope.seal(key, entry)
        except GarbageError:
            self._lose("unfit")
            return
        if len(blob) > self._max_value_bytes:
            self._lose("too_large")
        else:
            self._write(len(blob), "SET", self._name(key), blob, "PX", lifetime_ms)

    async def delete(self, key: bytes) -> None:
        """Send the deletion of ``key`` off."""
        # UNLINK frees a huge foreign value without stopping the server.
        self._write(0, "UNLINK", self._name(key))

    @property
    def backlog_bytes(self) -> int:
        """Bytes of values that are to be written and have no reply yet."""
        return self._backlog_bytes

    async def flush(self) -> None:
        """Wait until every look-up and write sent so far has its reply, or has run out of time."""
        await self._reads.join()
        await self._writes.join()

    async def aclose(self) -> None:
        """Finish what was written, within ``timeout_ms`` for each pipeline, and close all connections."""
        await self._writes.aclose()
        await self._reads.aclose()
        # A connection that cannot be closed within its limit is let go of all the same.
        with suppress(RedisError, OSError):
            await self._client.aclose()

    def _name(self, key: bytes) -> str:
        return self._prefix + key.hex()

    def _judge(self, key: bytes, reply: Reply) -> Entry | str:
        """Return the entry in ``reply``, or the word for why there is none."""
        if isinstance(reply, bytes):
            if not reply:
                return "miss"
            if len(reply) > self._max_value_bytes:
                return "garbage"
            try:
                return self._envelope.open(key, reply)
            except GarbageError:
                return "garbage"
        if isinstance(reply, Exception):
            self._log_once(reply)
        is_other_type = isinstance(reply, ResponseError) and str(reply).startswith("WRONGTYPE")
        return "garbage" if is_other_type else "error"

    def _write(self, size: int, *command: Word) -> None:
        if self._backlog_bytes + size > WRITE_BACKLOG * self._max_value_bytes:
            self._lose("backlog")
            return
        pending = self._writes.submit(*command)
        if pending is None:
            self._lose("skipped")
            return
        self._backlog_bytes += size

        def written(reply: asyncio.Future[Reply]) -> None:
            self._backlog_bytes -= size
            if isinstance(reply.result(), Exception):
                self._log_once(reply.result())
                self._lose("error")

        pending.add_done_callback(written)

    def _lose(self, reason: str) -> None:
        self._writes_lost += 1
        self._emit(CacheWriteLost(self.name, reason))

    def _log_once(self, error: Exception) -> None:
        """Log an error of Redis unless the last one was the same: it may come with every request."""
        text = printable(f"{type(error).__name__}: {error}", 200)
        if text != self._last_logged:
            self._last_logged = text
            _log.warning("redis: %s", text)


def connection_options(settings: RedisSettings) -> dict[str, Any]:
    """Return what every connection is made with.

    Raises:
        LevelError: the URL cannot be used.
    """
    timeout_s = settings.timeout_ms / 1000
    try:
        chosen: dict[str, Any] = {**parse_url(settings.url)}
    except (ValueError, TypeError):
        raise _unusable() from None
    # What the URL's query string says is welcome (TLS files), but does not override a bound.
    return chosen | {
        "max_connections": settings.max_connections,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        # By default redis-py tries ten times more and waits 5 s for each.
        "retry": Retry(NoBackoff(), 0),
        # RESP2 needs no HELLO, and no driver_info no CLIENT SETINFO: a new connection asks at once.
        "protocol": 2,
        "driver_info": None,
    }


def _connect(settings: RedisSettings) -> Redis:
    try:
        return Redis.from_pool(ConnectionPool(**connection_options(settings)))
    except (ValueError, TypeError):
        raise _unusable() from None


def _unusable() -> LevelError:
    # Not a word of the URL, nor of an error about it: either may hold the password.
    return LevelError(
        "cache.redis.url cannot be used: check its host, port and options, and write special "
        "characters of a password as %XX"
    )


_: type[Level] = RedisLevel
