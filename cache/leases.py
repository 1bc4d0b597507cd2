"""Leases: of all processes that miss one answer at a time, one computes it.

Who misses in every level bids for the lease of its key at the level that they share. The winner computes
and fills; the others look again and again, soon at first, and ever more seldom, until

* the answer is there: they serve it;
* the lease has ended without one, because its holder died or took too long: the next bid wins it;
* the holder has given it back without an answer to share (an error, an answer without a bound on its risk):
  each computes for itself, all at once;
* half of the time that the request has left is over: it is computed here as well. Nothing ever fails on
  account of a lease.

They look again and wait for no notification: this needs neither a connection of its own nor a channel that
could be lost, shut or lied on. An interval is a quarter of what was waited before, so that an answer comes
about a quarter later than it was there at most, after some fifteen looks in half a second. Requests of one
process are one flight before they come here.

A level that keeps us waiting for nothing is not asked for ``REST_S``: a Redis that lies costs two flights
their wait, and then one in a while.

Flights of requests that another gateway forwarded take none: that gateway may itself wait, with a lease.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar, runtime_checkable

from msgspec import Struct

from cache.levels.level import Entry, Level
from gateway.core.cache_events import CacheLeased
from gateway.core.clock import Chance, Clock
from gateway.core.telemetry import Telemetry

LEAST_S: Final = 0.2
UNKNOWN_S: Final = 2.0
"""A lease's length, or the least of it, while little is known of how long computing takes."""
LONGEST_S: Final = 60.0
TIMES_P99: Final = 3

FIRST_LOOK_S: Final = 0.005
LONGEST_LOOK_S: Final = 0.1
SHARE_OF_WAIT: Final = 0.25
MOST_LOOKS: Final = 256

MOST_VAIN: Final = 2
REST_S: Final = 30.0

Ended = TypeVar("Ended", "Claim", Entry)
_TOKEN_BYTES: Final = 16
_REMEMBERED: Final = 128
_FEW: Final = 16


class Bid(Struct, frozen=True):
    """What a bid gave.

    ``left_ms``: 0: the lease is ours; positive: milliseconds for which it is another's; negative: nobody has
    an answer to share. ``found``: what the level held just after.
    """

    left_ms: int
    found: Entry | None


@runtime_checkable
class LeasingLevel(Level, Protocol):
    """A level that several processes share, and that grants leases. No method raises on its account."""

    async def bid(self, key: bytes, token: bytes, lease_ms: int) -> Bid | None:
        """Ask for the lease of ``key``, and look it up just after; None: neither can be had now."""
        ...

    async def fill(self, key: bytes, entry: Entry, token: bytes) -> bool:
        """Hold ``entry`` if the lease is still that of ``token``, and give it back; False: it is not held.

        True says no more than that it was sent.
        """
        ...

    async def release(self, key: bytes, token: bytes, *, is_abandoned: bool) -> None:
        """Give the lease back without an answer; ``is_abandoned``: others shall not wait for one either."""
        ...


class Claim:
    """The right to compute an answer, and to put it where it belongs. It does so without any lease.

    It is released on every way out: ``async with claim: ...``.
    """

    async def put(self, level: Level, key: bytes, entry: Entry) -> None:
        """Hold ``entry`` at ``level``."""
        await level.put(key, entry)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give back what was not used."""


UNLEASED: Final = Claim()


class Lease(Claim):
    """A claim that was won: at the level that has granted it, only its holder fills."""

    def __init__(self, level: LeasingLevel, key: bytes, token: bytes) -> None:
        self._level, self._key, self._token = level, key, token
        self._is_used = False

    def __repr__(self) -> str:
        return f"<Lease {'used' if self._is_used else 'held'}>"

    async def put(self, level: Level, key: bytes, entry: Entry) -> None:
        """Hold ``entry`` at ``level``; at the leasing one, compare and fill."""
        if level is self._level:
            self._is_used = await self._level.fill(key, entry, self._token)
        else:
            await level.put(key, entry)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back; who was cancelled leaves it to the next, and else nobody shall wait for it."""
        if not self._is_used:
            is_cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
            await self._level.release(self._key, self._token, is_abandoned=not is_cancelled)


class _Barred(Claim):
    """A claim beside a lease that another holds: where that one fills, this one does not."""

    def __init__(self, level: Level) -> None:
        self._level = level

    async def put(self, level: Level, key: bytes, entry: Entry) -> None:
        if level is not self._level:
            await level.put(key, entry)


class ComputeTimes:
    """How long computing took lately, of which a lease's length is made."""

    def __init__(self) -> None:
        self._lately: deque[float] = deque(maxlen=_REMEMBERED)

    def __repr__(self) -> str:
        return f"<ComputeTimes {len(self._lately)}, leases {self.lease_s:.3f} s>"

    def add(self, seconds: float) -> None:
        """Note what was computed, and not what failed or was found."""
        self._lately.append(seconds)

    @property
    def lease_s(self) -> float:
        """Three times the 99th percentile; of fewer than a hundred it is the longest."""
        ordered = sorted(self._lately)
        p99_s = ordered[-(-99 * len(ordered) // 100) - 1] if ordered else 0.0
        least_s = LEAST_S if len(ordered) >= _FEW else UNKNOWN_S
        return min(max(TIMES_P99 * p99_s, least_s), LONGEST_S)


class Leases:
    """The bids of one route at ``level``."""

    def __init__(self, level: LeasingLevel, *, clock: Clock, chance: Chance, telemetry: Telemetry) -> None:
        self.times = ComputeTimes()
        self._level = level
        self._clock, self._chance, self._emit = clock, chance, telemetry.emit
        self._vain = 0
        self._rests_until_s = float("-inf")
        self._barred = _Barred(level)

    def __repr__(self) -> str:
        return f"<Leases at {self._level.name}, {self.times}, {self._vain} waits in vain>"

    async def claim(
        self, key: bytes, deadline: float, fresher: Callable[[Entry], Entry | None], *, waits: bool = True
    ) -> Claim | Entry | None:
        """Return a claim to compute, or what another has computed meanwhile.

        Args:
            key: of the answer.
            deadline: of the request, seconds of the loop; half of the time until then is waited.
            fresher: returns what the level was found to hold, if it is what is wanted.
            waits: whether to wait for another process at all.

        Returns:
            A claim; an entry, which is what ``fresher`` returned; or None: another process computes it, and
            nobody waits.
        """
        began = self._clock.now()
        if began < self._rests_until_s:
            return UNLEASED
        token = secrets.token_hex(_TOKEN_BYTES).encode()
        until = began + min((deadline - began) / 2, LONGEST_S)
        for looks in range(MOST_LOOKS):
            bid = await self._bid(key, token, deadline)
            found = None if bid is None or bid.found is None else fresher(bid.found)
            if bid is None or bid.left_ms <= 0 or found is not None:
                return await self._decide(key, token, bid, found, is_first=not looks)
            if not looks:
                self._emit(CacheLeased(self._level.name, "lost"))
            now = self._clock.now()
            if not waits:
                return None
            if now >= until:
                break
            await self._clock.sleep(min(self._pause(now - began), bid.left_ms / 1000, until - now))
        return self._give_up()

    async def _decide(
        self, key: bytes, token: bytes, bid: Bid | None, found: Entry | None, *, is_first: bool
    ) -> Claim | Entry:
        """Return what a bid has led to that was not simply lost."""
        if bid is None:
            return self._ended("skipped", UNLEASED)
        self._vain = 0
        if found is not None:
            if not bid.left_ms:
                # It was filled between the look-up and the bid.
                await self._level.release(key, token, is_abandoned=False)
            return self._ended("joined", found)
        if bid.left_ms < 0:
            return self._ended("abandoned", UNLEASED)
        return self._ended("won" if is_first else "taken_over", Lease(self._level, key, token))

    def _give_up(self) -> Claim:
        self._vain += 1
        if self._vain >= MOST_VAIN:
            self._rests_until_s = self._clock.now() + REST_S
        return self._ended("vain", self._barred)

    def _ended(self, outcome: str, result: Ended) -> Ended:
        self._emit(CacheLeased(self._level.name, outcome))
        return result

    async def _bid(self, key: bytes, token: bytes, deadline: float) -> Bid | None:
        lease_s = min(self.times.lease_s, max(deadline - self._clock.now(), LEAST_S))
        try:
            return await self._level.bid(key, token, max(1, int(lease_s * 1000)))
        except asyncio.CancelledError:
            # It may have been won, and nobody knows.
            await self._level.release(key, token, is_abandoned=False)
            raise

    def _pause(self, waited_s: float) -> float:
        """Return how long to wait before the next look, at random by a half either way."""
        wanted_s = min(max(FIRST_LOOK_S, SHARE_OF_WAIT * waited_s), LONGEST_LOOK_S)
        return wanted_s * self._chance.uniform(0.5, 1.5)
