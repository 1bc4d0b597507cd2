"""The level of answers that neighbours sent ahead: they cost nothing that this region's own requests use.

It stands behind L1 and has bytes of its own. An answer that a request finds here passes the same checks as
one that it finds in Redis, and is in L1 from then on. What this gateway computes itself replaces it.

Newcomers come only into free room: freed by what is no longer fresh, and by what its region has not offered
for ``IDLE_S`` while another region has something to offer.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from cache.levels.level import Entry, Level
from gateway.core.cache_events import CacheLookedUp
from gateway.core.cache_levels import WARM
from gateway.core.clock import Clock
from gateway.core.telemetry import Telemetry

IDLE_S: Final = 300.0
_SLACK_S: Final = 1.0
"""By how much fresher an answer must be to be fetched once more: clocks differ."""


class _Held(NamedTuple):
    entry: Entry
    offered_s: float


class WarmLevel:
    """Answers of neighbours, in at most ``max_bytes``, those first that were not offered for longest."""

    is_shared = True

    def __init__(self, max_bytes: int, clock: Clock, telemetry: Telemetry, *, name: str = WARM) -> None:
        self.name = name
        self.num_bytes = 0
        self._max_bytes = max_bytes
        self._steady, self._emit = clock.steady, telemetry.emit
        self._held: dict[bytes, _Held] = {}
        self._miss = CacheLookedUp(name, "miss")

    def __repr__(self) -> str:
        taken, most = self.num_bytes / (1 << 20), self._max_bytes / (1 << 20)
        return f"<WarmLevel {len(self._held)} of neighbours, {taken:.1f} of {most:.1f} MiB>"

    def __len__(self) -> int:
        return len(self._held)

    def has(self, key: bytes, soft_expiry: float) -> bool:
        """Whether an answer that is as fresh is held; it is then taken as offered once more."""
        held = self._held.get(key)
        if held is None or held.entry.soft_expiry < soft_expiry - _SLACK_S:
            return False
        del self._held[key]
        self._held[key] = held._replace(offered_s=self._steady())
        return True

    def make_room(self, size: int) -> bool:
        """Whether ``size`` bytes are free, or could be freed of what is of no use any more."""
        now = self._steady()
        if size > self._max_bytes:
            return False
        while self.num_bytes + size > self._max_bytes and self._held:
            key, (entry, offered_s) = next(iter(self._held.items()))
            if entry.soft_expiry > now and offered_s + IDLE_S > now:
                return False
            self._drop(key)
        return self.num_bytes + size <= self._max_bytes

    def take(self, key: bytes, entry: Entry) -> bool:
        """Hold what a neighbour has sent, if there is room."""
        self._drop(key)
        if not self.make_room(entry.size):
            return False
        self._held[key] = _Held(entry.at(self.name), self._steady())
        self.num_bytes += entry.size
        return True

    async def get(self, key: bytes) -> Entry | None:
        """Return what is held under ``key``."""
        held = self._held.get(key)
        if held is None:
            self._emit(self._miss)
            return None
        return held.entry

    async def put(self, key: bytes, entry: Entry) -> None:  # noqa: ARG002 - others hold it
        """Forget ``key``: what this gateway has now is newer, and in L1."""
        self._drop(key)

    async def delete(self, key: bytes) -> None:
        """Forget ``key`` at once."""
        self._drop(key)

    async def forget(self, model: str) -> None:
        """Forget all answers of ``model``."""
        for key in [key for key, held in self._held.items() if held.entry.response.model == model]:
            self._drop(key)

    async def aclose(self) -> None:
        """Forget everything."""
        self._held.clear()
        self.num_bytes = 0

    def _drop(self, key: bytes) -> None:
        held = self._held.pop(key, None)
        if held is not None:
            self.num_bytes -= held.entry.size


_: type[Level] = WarmLevel
