"""What a process knows and does of invalidations: its epochs, its region's log, those of others."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from msgspec import Struct

from cache.invalidation.epochs import HERE, EpochRow, Epochs
from cache.invalidation.follower import Follower
from cache.invalidation.log import UNREADABLE, Reader, RedisLog
from cache.invalidation.scope import Scope
from cache.invalidation.settings import InvalidationSettings
from cache.levels.replies import ReplyError
from gateway.core.cache_events import InvalidationRead
from gateway.core.clock import Chance, Clock
from gateway.core.telemetry import Telemetry

ALIVE_S: Final = 30.0
"""A reader that has not been heard of for so long is not waited for."""

_AGAIN_S: Final = 0.05
_LONGEST_WATCH_S: Final = 1.0
_FIRST_S: Final = 1.0
"""For which a start waits for logs: what is kept until they were read is kept apart."""


class Invalidated(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One invalidation that was made. ``log``: the region whose log has it, empty: this gateway alone.

    ``problem``: why no log has it, where there is one.
    """

    scope: Scope
    log: str = HERE
    identity: str = ""
    number: int = 0
    problem: str = ""


class Receipts(NamedTuple):
    """Who has read an invalidation, and who has not; ``unheard``: regions of which no gateway reads."""

    arrived: tuple[Reader, ...]
    awaited: tuple[Reader, ...]
    unheard: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every gateway that reads the log has it, of every region."""
        return not self.awaited and not self.unheard


class Invalidations:
    """Makes invalidations, and hears of those of other gateways.

    ``region``: where this process is. ``settings`` None: what is invalidated is so in this process, and
    wherever ``note`` is called with what ``invalidate`` has returned.
    """

    def __init__(
        self,
        region: str,
        settings: InvalidationSettings | None,
        *,
        clock: Clock,
        chance: Chance,
        telemetry: Telemetry,
    ) -> None:
        self.epochs = Epochs(region)
        self._region, self._settings = region, settings
        self._clock, self._telemetry = clock, telemetry
        self._name = f"{region}/{secrets.token_hex(6)}"
        self._tasks: list[asyncio.Task[None]] = []
        regions = sorted(settings.redis) if settings is not None else ()
        self._own = RedisLog.of(region, settings, clock) if settings is not None else None
        self._followers = tuple(
            Follower(
                RedisLog.of(each, settings, clock),
                self.epochs,
                settings,
                name=self._name,
                region=region,
                clock=clock,
                chance=chance,
                telemetry=telemetry,
            )
            for each in regions
            if settings is not None
        )

    def __repr__(self) -> str:
        logs = ", ".join(map(repr, self._followers)) or "no log"
        return f"<Invalidations in {self._region}: {logs}>"

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions that have logs."""
        return tuple(follower.log_region for follower in self._followers)

    async def start(self) -> None:
        """Begin to read all logs; return when they were read, or could not be at once."""
        now_s = self._clock.steady()
        for follower in self._followers:
            follower.cut_if_due(now_s)
        if not self._followers:
            return
        self._tasks = [asyncio.create_task(follower.run()) for follower in self._followers]
        self._tasks.append(asyncio.create_task(self._watch()))
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_S):
                for follower in self._followers:
                    await follower.looked.wait()

    async def aclose(self) -> None:
        """Read no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._own is not None:
            await self._own.aclose()

    async def invalidate(self, scope: Scope, by: str = "") -> Invalidated:
        """Have the answers that ``scope`` names given no more: here at once, elsewhere by way of the log.

        Where the log cannot be written it holds here, and what is returned says so.
        """
        problem = ""
        if self._own is not None:
            try:
                identity, number = await self._own.publish(
                    scope, by[:256], self.epochs.identity(self._region)
                )
            except UNREADABLE as error:
                code = f" ({error.code})" if isinstance(error, ReplyError) else ""
                problem = f"the log of {self._region} cannot be written: {type(error).__name__}{code}"
            else:
                made = Invalidated(scope=scope, log=self._region, identity=identity, number=number)
                self.note(made)
                return made
        # Another worker may have made the one before, and the time of day may have been set back since.
        number = self.epochs.next_here(int(self._clock.wall() * 1000))
        made = Invalidated(scope=scope, number=number, problem=problem)
        self.note(made)
        return made

    def note(self, made: Invalidated) -> None:
        """Take an invalidation that this process, or another worker of its gateway, has made."""
        row = EpochRow(made.scope, made.number)
        if made.log == HERE:
            changed = self.epochs.here(*row)
        else:
            changed = self.epochs.note(made.log, made.identity, row)
        if changed:
            self._telemetry.emit(InvalidationRead(made.log, made.scope.kind))

    async def receipts(self, made: Invalidated) -> Receipts:
        """Return who has read ``made`` by now.

        Raises:
            UNREADABLE: the log is not to be read.
        """
        if self._own is None or made.log == HERE:
            return Receipts((), (), ())
        now_ms = int(self._clock.wall() * 1000)
        readers = await self._own.readers(now_ms)
        alive = [reader for reader in readers if now_ms - reader.at_ms <= ALIVE_S * 1000]
        arrived = tuple(r for r in alive if r.identity == made.identity and r.number >= made.number)
        awaited = tuple(r for r in alive if r not in arrived)
        unheard = tuple(each for each in self.regions if not any(r.region == each for r in alive))
        return Receipts(arrived, awaited, unheard)

    async def wait(self, made: Invalidated, seconds: float) -> Receipts:
        """Wait until all have read ``made``, for ``seconds`` at most; return who has.

        Raises:
            UNREADABLE: the log is not to be read.
        """
        until = self._clock.now() + seconds
        while True:
            receipts = await self.receipts(made)
            left_s = until - self._clock.now()
            if receipts.is_complete or left_s <= 0:
                return receipts
            await self._clock.sleep(min(_AGAIN_S, left_s))

    def report(self) -> Mapping[str, Any]:
        """Return how far each log was read, for the health report."""
        return {follower.log_region: follower.report() for follower in self._followers}

    async def _watch(self) -> None:
        """Notice in time that a log has been out of reach for too long."""
        while True:
            now_s = self._clock.steady()
            for follower in self._followers:
                follower.cut_if_due(now_s)
            due_s = min(follower.due_s(now_s) for follower in self._followers)
            await self._clock.sleep(min(_LONGEST_WATCH_S, max(0.001, due_s - now_s)))
