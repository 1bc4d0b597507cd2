"""Reads one region's log for as long as the process runs, and says when it may have missed something."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from cache.invalidation.epochs import Epochs
from cache.invalidation.log import UNREADABLE, LogPlace, Looked, RedisLog
from cache.invalidation.settings import InvalidationSettings
from cache.levels.replies import ProtocolError, ReplyError
from gateway.core.cache_events import InvalidationLogRead, InvalidationRead
from gateway.core.clock import Chance, Clock
from gateway.core.telemetry import Telemetry

REPORT_S: Final = 5.0
"""Seconds after which a reader is noted in the log again, though nothing was written."""

_PAGE_PAUSE_S: Final = 0.01
"""Between two looks while there is more to read: a log with a million rows must not hold up requests."""

_LONGEST_PAUSE_S: Final = 5.0

_log: Final = logging.getLogger("edgeway.invalidation")


class Follower:
    """Brings what ``log`` says into ``epochs``, every ``poll_ms``, and again after it was out of reach.

    ``name``, ``region``: this process's, as the log has its readers.
    """

    def __init__(
        self,
        log: RedisLog,
        epochs: Epochs,
        settings: InvalidationSettings,
        *,
        name: str,
        region: str,
        clock: Clock,
        chance: Chance,
        telemetry: Telemetry,
    ) -> None:
        self._log, self._epochs, self._settings = log, epochs, settings
        self._name, self._region = name, region
        self._clock, self._chance, self._telemetry = clock, chance, telemetry
        self._place = LogPlace()
        self._reported_s = float("-inf")
        self._reported = self._place
        self._failures = 0
        self._lag_s = 0.0
        self._problem = "not read yet"
        self.looked = asyncio.Event()
        """Set once the first look has ended, whatever it has found."""
        self._read_s: float | None = None
        """Steady time at which the last look began that has left nothing unread."""

    def __repr__(self) -> str:
        return f"<Follower of {self._log.region} at {self._place.number}, {self._problem or 'up to date'}>"

    @property
    def log_region(self) -> str:
        """The region whose log it reads."""
        return self._log.region

    @property
    def is_read(self) -> bool:
        """Whether the log was ever read to its end."""
        return self._read_s is not None

    async def run(self) -> None:
        """Read until cancelled."""
        try:
            while True:
                await self._clock.sleep(await self._look_on())
        finally:
            await self._log.aclose()

    async def _look_on(self) -> float:
        try:
            return await self.look()
        except Exception:  # noqa: BLE001 - whatever it is, the log must not be left unread
            _log.exception("the log of %s cannot be read", self.log_region)
            return _LONGEST_PAUSE_S
        finally:
            self.looked.set()

    async def look(self) -> float:
        """Look into the log once; return the seconds until the next look is due."""
        began_s, place = self._clock.steady(), self._place
        reader, at = self._report(began_s)
        try:
            looked = await self._log.look(place, self._epochs.latest(self.log_region), reader, at)
        except UNREADABLE as error:
            return self._failed(error)
        self._failures = 0
        if reader:
            self._reported, self._reported_s = place, began_s
        self._take(looked, began_s)
        if not looked.is_complete:
            return _PAGE_PAUSE_S
        # Who waits for an invalidation hears at once that it has arrived here.
        return 0.0 if looked.place[:2] != self._reported[:2] else self._settings.poll_ms / 1000

    def cut_if_due(self, now_s: float) -> None:
        """Keep apart what is kept from now on, if the log has been out of reach for too long."""
        longest_s = self._settings.max_staleness_s
        if self._read_s is not None and now_s - self._read_s <= longest_s:
            return
        # Windows of the time of day: gateways of a region that are all cut off share what they keep.
        if self._epochs.cut(self.log_region, int(now_s // longest_s) + 1):
            outcome = "start" if self._read_s is None else "cut"
            self._telemetry.emit(InvalidationRead(self.log_region, outcome))

    def due_s(self, now_s: float) -> float:
        """Return the steady time at which ``cut_if_due`` will be due next."""
        longest_s = self._settings.max_staleness_s
        if self._read_s is not None and now_s - self._read_s <= longest_s:
            return self._read_s + longest_s
        return (now_s // longest_s + 1) * longest_s

    def report(self) -> dict[str, Any]:
        """Return how far it has come, for the health report."""
        read_s = self._read_s
        is_cut = self._epochs.is_cut(self.log_region)
        return {
            "state": "cut" if is_cut else "behind" if self._problem else "following",
            "number": self._place.number,
            "lag_s": round(self._lag_s, 3),
            "read_s_ago": None if read_s is None else round(max(0.0, self._clock.steady() - read_s), 3),
            **({"problem": self._problem} if self._problem else {}),
        }

    def _report(self, now_s: float) -> tuple[str, str]:
        """Return what the log shall note of this reader now: its name and its place; empty: nothing."""
        place = self._place
        is_due = now_s - self._reported_s >= REPORT_S or place[:2] != self._reported[:2]
        if not place.identity or not is_due:
            return "", ""
        return self._name, f"{self._region} {place.identity} {place.number} {int(self._clock.wall() * 1000)}"

    def _take(self, looked: Looked, began_s: float) -> None:
        before = self._place
        region, epochs = self.log_region, self._epochs
        is_lost = before.identity not in ("", looked.place.identity)
        changed = epochs.read(region, looked.place.identity, looked.rows, looked.buckets)
        self._place = looked.place
        lag_s = 0.0
        if looked.oldest_ms is not None:
            lag_s = max(0.0, self._clock.wall() - looked.oldest_ms / 1000)
        self._lag_s = lag_s
        if looked.is_complete:
            self._read_s, self._problem = began_s, ""
            epochs.cut(region, 0)
        else:
            self._problem = "more to read"
        if looked.malformed:
            self._telemetry.emit(InvalidationLogRead(region, "malformed", lag_s))
        if is_lost:
            self._telemetry.emit(InvalidationRead(region, "lost"))
        elif changed and before.identity:
            for kind in {row.scope.kind for row in looked.rows}:
                self._telemetry.emit(InvalidationRead(region, kind))
        self._telemetry.emit(InvalidationLogRead(region, "read", lag_s))

    def _failed(self, error: Exception) -> float:
        self._failures += 1
        refused = isinstance(error, ReplyError)
        outcome = "refused" if refused else "malformed" if isinstance(error, ProtocolError) else "unreachable"
        # A code, never a text: an error may quote what was sent.
        self._problem = f"refused: {error.code}" if isinstance(error, ReplyError) else outcome
        now_s, read_s = self._clock.steady(), self._read_s
        silent_s = 0.0 if read_s is None else max(0.0, now_s - read_s)
        self._lag_s = silent_s
        self._telemetry.emit(InvalidationLogRead(self.log_region, outcome, silent_s))
        longest_s = min(_LONGEST_PAUSE_S, self._settings.max_staleness_s / 4)
        pause_s: float = min(longest_s, self._settings.poll_ms / 1000 * 2.0 ** min(self._failures, 16))
        return pause_s * self._chance.uniform(0.5, 1.0)
