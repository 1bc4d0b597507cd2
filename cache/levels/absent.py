"""The place of L1 on routes that use L2 alone: a level that holds nothing, and reports nothing."""

from __future__ import annotations

from cache.levels.level import Entry, LevelStats, NearLevel
from gateway.core.cache_levels import L1


class AbsentLevel:
    """A first level without room. Every request goes on to the levels behind it."""

    name = L1
    is_shared = False
    has_room = False

    def __repr__(self) -> str:
        return "<AbsentLevel>"

    def peek(self, key: bytes) -> Entry | None:  # noqa: ARG002 - as in all methods here
        """Return nothing."""
        return None

    def glance(self, key: bytes) -> Entry | None:  # noqa: ARG002
        """Return nothing."""
        return None

    def stored(self, key: bytes) -> Entry | None:  # noqa: ARG002
        """Return nothing."""
        return None

    async def get(self, key: bytes) -> Entry | None:  # noqa: ARG002
        """Return nothing."""
        return None

    async def put(self, key: bytes, entry: Entry) -> None:
        """Hold nothing."""

    async def delete(self, key: bytes) -> None:
        """Forget nothing."""

    async def forget(self, model: str) -> None:
        """Forget nothing."""

    def stats(self) -> LevelStats:
        """Return that it holds nothing."""
        return LevelStats(0, 0, 0, {})

    async def aclose(self) -> None:
        """Let go of nothing."""


_: type[NearLevel] = AbsentLevel
