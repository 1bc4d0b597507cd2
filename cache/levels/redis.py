"""L2: answers in the region's Redis, which is a cache and never the truth.

Whatever Redis does costs hits, never an answer, and never more than ``timeout_ms`` per look-up:

* down, slow, stopped, loading: the gate (a breaker) shuts after a few pipelines, and look-ups are
  skipped without waiting until a probe succeeds;
* full, read-only: writes are lost and counted, reads go on;
* another type, a foreign value, a cut or altered one under our key: counted as garbage and deleted;
* a huge value: no more than ``max_value_bytes`` of it are ever read, because ``GETRANGE`` is what asks;
* anything that none of our commands can get back, while the connection is set up too: the connection is
  closed before what it announces has cost anything;
* a fail-over: a server that is no master any more says so (READONLY), and all connections are made anew,
  from the name on; the writes that met it are sent once more.

Connecting has its own limit, ``connect_timeout_ms``, and waits for nobody.

Writes wait for nobody and nobody waits for them. One connection carries them in the order they were
made, and at most ``WRITE_BACKLOG`` values of the largest size stand in line; what comes then is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Final

from cache import lease_commands
from cache.leases import Bid, LeasingLevel
from cache.levels.envelope import Envelope, GarbageError
from cache.levels.key_names import lease_name, value_name
from cache.levels.level import Entry
from cache.levels.pipelining import AutoPipeline, Outcome
from cache.levels.redis_connection import RedisConnector
from cache.levels.redis_options import RedisOptions
from cache.levels.replies import Kind, ReplyError, Word
from cache.levels.stamps import Stamps
from gateway.core.cache_events import CacheConnectionClosed, CacheLeased, CacheLookedUp, CacheWriteLost
from gateway.core.cache_levels import L2
from gateway.core.clock import Clock
from gateway.core.errors import printable
from gateway.core.gate import Gate
from gateway.core.telemetry import Telemetry

if TYPE_CHECKING:
    from cache.levels.redis_settings import RedisSettings

WRITE_BACKLOG: Final = 4
KEY_VERSION: Final = 1
"""Part of every key, so that builds with different envelopes do not delete each other's entries."""

_log = logging.getLogger("edgeway.redis")
_LOG_S: Final = 1.0
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
        self._connector = connector = RedisConnector(
            RedisOptions.of(settings.url),
            timeout_s=settings.connect_timeout_ms / 1000,
            # The end of a GETRANGE is part of it.
            max_bulk_bytes=settings.max_value_bytes + 1,
            clock=clock,
            closed=lambda reason: telemetry.emit(CacheConnectionClosed(name, reason)),
        )
        self._reads = AutoPipeline(
            connector, gate, timeout_s=timeout_s, connections=settings.max_connections - 1
        )
        self._writes = AutoPipeline(connector, gate, timeout_s=timeout_s, connections=1)
        self._envelope = Envelope(secret, self.name)
        self._prefix = f"{settings.namespace}:{KEY_VERSION}:"
        self._max_value_bytes = settings.max_value_bytes
        self._clock = clock
        self._stamps = Stamps(clock)
        self._emit = telemetry.emit
        self._events = {outcome: CacheLookedUp(self.name, outcome) for outcome in _OUTCOMES}
        self._is_well = True
        self._backlog_bytes = 0
        self._writes_lost = 0
        self._last_logged = ""
        self._logged_s = -math.inf

    def __repr__(self) -> str:
        return (
            f"<RedisLevel {self._prefix} reads {self._reads}, writes {self._writes},"
            f" {self._backlog_bytes} bytes to write, {self._writes_lost} writes lost>"
        )

    async def get(self, key: bytes) -> Entry | None:
        """Return the entry under ``key`` within ``timeout_ms``; a caller who leaves harms nobody."""
        pending = self._read(key)
        found = "skipped" if pending is None else self._judge(key, await pending)
        self._is_well = isinstance(found, Entry) or found not in {"error", "skipped"}
        if isinstance(found, Entry):
            return found
        if found == "garbage":
            await self.delete(key)
        self._emit(self._events[found])
        return None

    async def put(self, key: bytes, entry: Entry) -> None:
        """Send ``entry`` off, to vanish from Redis at its hard expiry."""
        sealed = self._seal(key, entry)
        if sealed is not None:
            blob, lifetime_ms = sealed
            self._write(len(blob), Kind.STATUS, "SET", self._name(key), blob, "PX", lifetime_ms)

    async def bid(self, key: bytes, token: bytes, lease_ms: int) -> Bid | None:
        """Ask for the lease of ``key`` and look it up once more, in this order and in one round trip."""
        if not self._is_well:
            return None
        asked = self._reads.submit(
            Kind.INTEGER, *lease_commands.take(lease_name(self._prefix, key), token, lease_ms)
        )
        if asked is None:
            return None
        read = self._read(key)
        left_ms = await asked
        if not isinstance(left_ms, int):
            if isinstance(left_ms, BaseException):
                self._log_once(left_ms)
            return None
        found = None if read is None else self._judge(key, await read)
        return Bid(left_ms, found if isinstance(found, Entry) else None)

    async def fill(self, key: bytes, entry: Entry, token: bytes) -> bool:
        """Send ``entry`` off, to be written if the lease is still that of ``token``."""
        sealed = self._seal(key, entry)
        if sealed is None:
            return False
        blob, lifetime_ms = sealed
        lease = lease_name(self._prefix, key)
        command = lease_commands.fill(lease, token, self._name(key), blob, lifetime_ms)
        return self._write(len(blob), Kind.INTEGER, *command)

    async def release(self, key: bytes, token: bytes, *, is_abandoned: bool) -> None:
        """Send off that the lease of ``token`` is given back."""
        lease = lease_name(self._prefix, key)
        self._write(0, Kind.INTEGER, *lease_commands.release(lease, token, is_abandoned=is_abandoned))

    def _seal(self, key: bytes, entry: Entry) -> tuple[bytes, int] | None:
        """Return ``entry`` as it is written, and for how many milliseconds; None: it is not."""
        lifetime_ms = math.ceil((entry.hard_expiry - self._clock.steady()) * 1000)
        if lifetime_ms <= 0:
            return None
        try:
            blob = self._envelope.seal(key, self._stamps.outward(entry))
        except GarbageError:
            self._lose("unfit")
            return None
        if len(blob) > self._max_value_bytes:
            self._lose("too_large")
            return None
        return blob, lifetime_ms

    async def delete(self, key: bytes) -> None:
        """Send the deletion of ``key`` off."""
        # UNLINK frees a huge foreign value without stopping the server.
        self._write(0, Kind.INTEGER, "UNLINK", self._name(key))

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

    def _name(self, key: bytes) -> str:
        return value_name(self._prefix, key)

    def _read(self, key: bytes) -> asyncio.Future[Outcome] | None:
        # The end of the range is part of it, so a value one byte too long shows.
        return self._reads.submit(Kind.BULK, "GETRANGE", self._name(key), 0, self._max_value_bytes)

    def _judge(self, key: bytes, outcome: Outcome) -> Entry | str:
        """Return the entry in ``outcome``, or the word for why there is none."""
        if isinstance(outcome, BaseException):
            self._log_once(outcome)
            is_other_type = isinstance(outcome, ReplyError) and outcome.code == "WRONGTYPE"
            return "garbage" if is_other_type else "error"
        if not outcome:
            return "miss"
        if isinstance(outcome, int) or len(outcome) > self._max_value_bytes:
            return "garbage"
        try:
            return self._stamps.inward(self._envelope.open(key, outcome))
        except GarbageError:
            return "garbage"

    def _write(self, size: int, kind: Kind, *command: Word) -> bool:
        if self._backlog_bytes + size > WRITE_BACKLOG * self._max_value_bytes:
            self._lose("backlog")
            return False
        self._send(size, kind, command, is_second=False)
        return True

    def _send(self, size: int, kind: Kind, command: tuple[Word, ...], *, is_second: bool) -> None:
        pending = self._writes.submit(kind, *command)
        if pending is None:
            self._lose("skipped")
            return
        self._backlog_bytes += size
        epoch = self._connector.epoch

        def written(outcome: asyncio.Future[Outcome]) -> None:
            self._backlog_bytes -= size
            error = outcome.result()
            if not isinstance(error, BaseException):
                if size and error == lease_commands.REFUSED:
                    self._emit(CacheLeased(self.name, "late"))
                return
            self._log_once(error)
            # The connections are made anew, at most once a second: this write can be on the new one.
            is_renewed = isinstance(error, ReplyError) and error.code == "READONLY"
            if is_renewed and self._connector.epoch != epoch and not is_second:
                self._send(size, kind, command, is_second=True)
            else:
                self._lose("error")

        pending.add_done_callback(written)

    def _lose(self, reason: str) -> None:
        self._writes_lost += 1
        self._emit(CacheWriteLost(self.name, reason))

    def _log_once(self, error: BaseException) -> None:
        """Log an error of Redis: one a second at most, and none that is as the last one was."""
        now = self._clock.now()
        if now - self._logged_s < _LOG_S:
            return
        text = printable(f"{type(error).__name__}: {error}", 200)
        if text != self._last_logged:
            self._last_logged, self._logged_s = text, now
            _log.warning("redis: %s", text)


_: type[LeasingLevel] = RedisLevel
