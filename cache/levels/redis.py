"""L2: answers in the region's Redis, which is a cache and never the truth.

Whatever Redis does costs hits, never an answer, and never more than ``timeout_ms`` per look-up:

* down, slow, stopped, loading: the gate (a breaker) shuts after a few pipelines, and look-ups are
  skipped without waiting until a probe succeeds;
* full, read-only: writes are lost and counted, reads go on;
* another type, a foreign value, a cut or altered one under our key: counted as garbage and deleted;
* what another build has sealed under our key: a miss, and left to those who can read it;
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
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cache import lease_commands
from cache.bloom import RotatingBloom
from cache.leases import Bid, LeasingLevel
from cache.levels.envelope import Envelope, GarbageError, TooLargeError
from cache.levels.level import Entry
from cache.levels.pipelining import Outcome
from cache.levels.redis_routes import RedisTarget
from cache.levels.redis_secrets import KeptUnder, kept_under
from cache.levels.redis_shapes import routes_of
from cache.levels.replies import Kind, ReplyError, Word
from cache.levels.stamps import Stamps
from gateway.core.cache_events import (
    CacheConnectionClosed,
    CacheLeased,
    CacheLookedUp,
    CacheSealRejected,
    CacheWriteHeldBack,
    CacheWriteLost,
)
from gateway.core.cache_levels import L2
from gateway.core.clock import Clock
from gateway.core.errors import printable
from gateway.core.gate import Gate
from gateway.core.telemetry import Telemetry

if TYPE_CHECKING:
    from cache.levels.redis_settings import RedisSettings

WRITE_BACKLOG: Final = 4
SEEN_KEYS: Final = 1 << 19
"""Keys of one turn of the doorkeeper, in about 1.5 MiB."""


_log = logging.getLogger("edgeway.redis")
_LOG_S: Final = 1.0
_OUTCOMES: Final = ("miss", "garbage", "error", "skipped")

_Look = tuple[KeptUnder, RedisTarget, asyncio.Future[Outcome] | None]


class RedisLevel:
    """The level of the region. ``secret`` is 32 bytes, the same in all gateways that share the Redis.

    ``previous``: secrets that sealed before, whose values are still read. ``gate_of`` makes the gate of each
    node of a cluster, ``host:port``; otherwise ``gate`` is before all.

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
        previous: Sequence[bytes] = (),
        gate_of: Callable[[str], Gate] | None = None,
    ) -> None:
        self.name = name
        self._timeout_s = settings.timeout_ms / 1000
        self._routes = routes_of(
            settings, gate, gate_of, clock, lambda reason: telemetry.emit(CacheConnectionClosed(name, reason))
        )
        self._kept = kept_under(
            (secret, *previous),
            namespace=settings.namespace,
            level=name,
            most_bytes=settings.max_value_bytes,
        )
        self.names = self._kept[0].names
        self._seen = RotatingBloom(SEEN_KEYS, now=clock.tick, secret=secret) if settings.doorkeeper else None
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
            f"<RedisLevel {self.names} {self._routes},"
            f" {self._backlog_bytes} bytes to write, {self._writes_lost} writes lost>"
        )

    async def get(self, key: bytes) -> Entry | None:
        """Return the entry under ``key`` within ``timeout_ms``; a caller who leaves harms nobody."""
        found = await self._find(key, self._look(key))
        self._is_well = isinstance(found, Entry) or found not in {"error", "skipped"}
        if isinstance(found, Entry):
            return found
        self._emit(self._events[found])
        return None

    async def put(self, key: bytes, entry: Entry) -> None:
        """Send ``entry`` off, to vanish from Redis at its hard expiry."""
        sealed = self._seal(key, entry)
        if sealed is not None:
            blob, lifetime_ms = sealed
            name = self.names.of(key)
            self._write(name, len(blob), Kind.STATUS, "SET", name, blob, "PX", lifetime_ms)

    async def bid(self, key: bytes, token: bytes, lease_ms: int) -> Bid | None:
        """Ask for the lease of ``key`` and look it up once more, in this order and in one round trip."""
        if not self._is_well:
            return None
        lease = self.names.lease(key)
        asked = self._routes.target(lease).read(Kind.INTEGER, *lease_commands.take(lease, token, lease_ms))
        if asked is None:
            return None
        looks = self._look(key)
        left_ms = await asked
        if not isinstance(left_ms, int):
            if isinstance(left_ms, BaseException):
                self._log_once(left_ms)
            return None
        found = await self._find(key, looks)
        return Bid(left_ms, found if isinstance(found, Entry) else None)

    async def fill(self, key: bytes, entry: Entry, token: bytes) -> bool:
        """Send ``entry`` off, to be written if the lease is still that of ``token``."""
        sealed = self._seal(key, entry)
        if sealed is None:
            return False
        blob, lifetime_ms = sealed
        lease = self.names.lease(key)
        command = lease_commands.fill(lease, token, self.names.of(key), blob, lifetime_ms)
        return self._write(lease, len(blob), Kind.INTEGER, *command)

    async def release(self, key: bytes, token: bytes, *, is_abandoned: bool) -> None:
        """Send off that the lease of ``token`` is given back."""
        lease = self.names.lease(key)
        self._write(lease, 0, Kind.INTEGER, *lease_commands.release(lease, token, is_abandoned=is_abandoned))

    def _seal(self, key: bytes, entry: Entry) -> tuple[bytes, int] | None:
        """Return ``entry`` as it is written, and for how many milliseconds; None: it is not."""
        lifetime_ms = math.ceil((entry.hard_expiry - self._clock.steady()) * 1000)
        if lifetime_ms <= 0:
            return None
        if self._seen is not None and not self._seen.add(key):
            self._emit(CacheWriteHeldBack(self.name))
            return None
        try:
            blob = self._kept[0].envelope.seal(key, self._stamps.outward(entry))
        except GarbageError:
            self._lose("unfit")
            return None
        except TooLargeError:
            self._lose("too_large")
            return None
        if len(blob) > self._max_value_bytes:
            self._lose("too_large")
            return None
        return blob, lifetime_ms

    async def delete(self, key: bytes) -> None:
        """Send the deletion of ``key`` off."""
        # UNLINK frees a huge foreign value without stopping the server.
        for kept in self._kept:
            name = kept.names.of(key)
            self._write(name, 0, Kind.INTEGER, "UNLINK", name)

    @property
    def backlog_bytes(self) -> int:
        """Bytes of values that are to be written and have no reply yet."""
        return self._backlog_bytes

    async def flush(self) -> None:
        """Wait until every look-up and write sent so far has its reply, or has run out of time."""
        await self._routes.join()

    async def aclose(self) -> None:
        """Finish what was written, within ``timeout_ms`` for each pipeline, and close all connections."""
        await self._routes.aclose()

    def _look(self, key: bytes) -> list[_Look]:
        """Send the look-ups off, one for each secret, in one pipeline."""
        looks: list[_Look] = []
        for kept in self._kept:
            name = kept.names.of(key)
            target = self._routes.target(name)
            # The end of the range is part of it, so a value one byte too long shows.
            reply = target.read(Kind.BULK, "GETRANGE", name, 0, self._max_value_bytes)
            looks.append((kept, target, reply))
        return looks

    async def _find(self, key: bytes, looks: list[_Look]) -> Entry | str:
        """Return the first entry that was found, or the word for why there is none."""
        outcome = "skipped"
        for kept, target, reply in looks:
            name = kept.names.of(key)
            if reply is None:
                self._routes.onward(None, target, 0)
                continue
            reply_or_error = await reply
            if isinstance(reply_or_error, BaseException):
                reply_or_error = await self._follow(reply_or_error, target, name)
            found = self._judge(key, kept.envelope, reply_or_error)
            if isinstance(found, Entry):
                return found
            outcome = found
            if found == "garbage":
                self._write(name, 0, Kind.INTEGER, "UNLINK", name)
        return outcome

    async def _follow(self, error: BaseException, target: RedisTarget, name: str) -> Outcome:
        """Return what the node says that ``error`` of another names, within the time of one more look-up."""
        outcome: Outcome = error
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timeout_s):
                for _ in range(self._routes.most_hops):
                    onward = (
                        self._routes.onward(outcome, target, target.node.connector.epoch)
                        if isinstance(outcome, BaseException)
                        else None
                    )
                    if onward is None:
                        break
                    reply = onward.read(Kind.BULK, "GETRANGE", name, 0, self._max_value_bytes)
                    if reply is None:
                        break
                    outcome, target = await reply, onward
        return outcome

    def _judge(self, key: bytes, envelope: Envelope, outcome: Outcome) -> Entry | str:
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
            return self._stamps.inward(envelope.open(key, outcome))
        except GarbageError as error:
            self._emit(CacheSealRejected(self.name, error.reject))
            return "miss" if error.is_foreign else "garbage"

    def _write(self, name: str, size: int, kind: Kind, *command: Word) -> bool:
        if self._backlog_bytes + size > WRITE_BACKLOG * self._max_value_bytes:
            self._lose("backlog")
            return False
        self._send(self._routes.target(name), size, kind, command, hops=0)
        return True

    def _send(
        self, target: RedisTarget, size: int, kind: Kind, command: tuple[Word, ...], *, hops: int
    ) -> None:
        pending = target.write(kind, *command)
        if pending is None:
            self._routes.onward(None, target, 0)
            self._lose("skipped")
            return
        self._backlog_bytes += size
        epoch = target.node.connector.epoch

        def written(outcome: asyncio.Future[Outcome]) -> None:
            self._backlog_bytes -= size
            error = outcome.result()
            if not isinstance(error, BaseException):
                if size and error == lease_commands.REFUSED:
                    self._emit(CacheLeased(self.name, "late"))
                return
            onward = self._routes.onward(error, target, epoch) if hops < self._routes.most_hops else None
            if onward is not None:
                self._send(onward, size, kind, command, hops=hops + 1)
            else:
                self._log_once(error)
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
