"""Notes the look-ups of a stack for the request log: hits where the first level is looked up, misses below.

Only a stack that is logged has these. A key is in the sample by its hash, which nobody can choose.
"""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from typing import Final

import msgspec
from blake3 import blake3

from cache.freshness import Freshness
from cache.key import derive_secret
from cache.levels.level import Entry, NearLevel, size_of
from cache.request_log.lines import HIT, MISS, LoggedLookup
from cache.request_log.settings import RequestLogSettings
from cache.request_log.writer import LogWriter
from gateway.core.cache_control import REFRESH
from gateway.core.cache_events import CacheLogLinesLost
from gateway.core.clock import Clock
from gateway.core.request import Request, Response
from gateway.core.service import Filter, Pending, Service
from gateway.core.telemetry import Telemetry

_SCALE: Final = 1 << 64
_NAME_BYTES: Final = 8
_MOST_NAME: Final = 1024

Seen = tuple[float, bytes, str, str, int, float, str]
"""Unix time, key, tenant, model, size, ttl_s, outcome."""


class RequestLog:
    """The log of one process. ``secret``: keys and tenants are hashed with it."""

    def __init__(
        self,
        settings: RequestLogSettings,
        key_secret: str | None,
        *,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._settings = settings
        self._secret = derive_secret(key_secret, "request log")
        self._below = round(settings.sample * _SCALE)
        self._wall, self.steady = clock.wall, clock.steady
        self._emit = telemetry.emit
        self._reported = 0
        self._writer = LogWriter(Path(settings.file), settings.max_bytes, self._line)
        self.start, self.close = self._writer.start, self._writer.close

    def __repr__(self) -> str:
        return f"<RequestLog {self._writer}, {self._settings.sample:g} of the keys>"

    def _hash(self, name: bytes) -> str:
        return blake3(name, key=self._secret).hexdigest(_NAME_BYTES)

    def _line(self, seen: Seen) -> bytes:
        time, key, tenant, model, size, ttl_s, outcome = seen
        if tenant and self._settings.tenants == "hashed":
            tenant = self._hash(b"tenant" + tenant.encode("utf-8", "backslashreplace"))
        lookup = LoggedLookup(
            key=self._hash(key),
            size=size,
            time=round(time, 3),
            outcome=outcome,
            model=_printable(model),
            tenant=_printable(tenant),
            ttl_s=round(ttl_s, 3),
            sample=self._settings.sample,
        )
        return msgspec.json.encode(lookup) + b"\n"

    def has(self, key: bytes) -> bool:
        """Whether look-ups of ``key`` are logged."""
        return int.from_bytes(key[-8:], "big") < self._below

    def add(
        self, key: bytes, outcome: str, *, tenant: str, model: str, size: int = 0, ttl_s: float = 0.0
    ) -> None:
        """Log a look-up."""
        self._writer.add((self._wall(), key, tenant, model, size, ttl_s, outcome))
        lost = self._writer.lost
        if lost > self._reported:
            self._emit(CacheLogLinesLost(lost - self._reported))
            self._reported = lost


def _printable(name: str) -> str:
    """Return a name as JSON can have it: a lone surrogate is escaped, and one that is endless is cut."""
    return name[:_MOST_NAME].encode("utf-8", "backslashreplace").decode()


class LoggedLevel:
    """The first level as the look-up of a logged route sees it: hits are noted, all else is the level's."""

    def __init__(self, level: NearLevel, log: RequestLog, freshness: Freshness) -> None:
        self._level, self._log, self._freshness = level, log, freshness
        self.name, self.is_shared, self.has_room = level.name, level.is_shared, level.has_room
        self.get, self.put, self.delete, self.aclose = level.get, level.put, level.delete, level.aclose
        self.stored, self.forget, self.stats = level.stored, level.forget, level.stats
        self.reserve = level.reserve

    def __repr__(self) -> str:
        return f"{self._level!r} {self._log!r}"

    def peek(self, key: bytes) -> Entry | None:
        """Return what the level holds; what is served is noted."""
        entry = self._level.peek(key)
        if entry is not None and self._log.has(key):
            self._note(key, entry)
        return entry

    def glance(self, key: bytes) -> Entry | None:
        """Return what the level holds, and nothing of the sample: its requests come the whole way."""
        return None if self._log.has(key) else self._level.glance(key)

    def _note(self, key: bytes, entry: Entry) -> None:
        now = self._log.steady()
        if now >= entry.soft_expiry and not self._freshness.may_revalidate(entry, now):
            return
        response = entry.response
        ttl_s = max(0.0, entry.soft_expiry - (response.born or now))
        self._log.add(key, HIT, tenant=entry.holder, model=response.model, size=entry.size, ttl_s=ttl_s)


class LoggedMisses:
    """Stands below the look-up, where its misses come by, and notes what they were answered with."""

    def __init__(self, log: RequestLog, freshness: Freshness) -> None:
        self._log, self._freshness = log, freshness

    def __repr__(self) -> str:
        return f"<LoggedMisses {self._log}>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Let ``service`` answer. A refresh is no look-up, and what has no key was not looked up."""
        answered = service(request)
        if not request.key or request.cache_control is REFRESH or not self._log.has(request.key):
            return answered
        if isinstance(answered, Response):
            self._note(request, answered)
            return answered
        return self._noted(request, answered)

    async def _noted(self, request: Request, pending: Awaitable[Response]) -> Response:
        response = None
        try:
            response = await pending
        finally:
            self._note(request, response)
        return response

    def _note(self, request: Request, response: Response | None) -> None:
        add, now = self._log.add, self._log.steady()
        tenant, model = request.caller.tenant, request.model
        lifetime = self._freshness.lifetime(response.provenance, now) if response is not None else None
        if response is None or lifetime is None:
            add(request.key, MISS, tenant=tenant, model=model)
            return
        ttl_s, size = lifetime.soft_expiry - now, size_of(response)
        add(request.key, MISS, tenant=tenant, model=model, size=size, ttl_s=ttl_s)


_: tuple[type[NearLevel], type[Filter]] = (LoggedLevel, LoggedMisses)
