"""Popular answers of the edge are verified: after so many hits central is asked once, beside the requests.

The certificate bounds how often the edge is wrong per distinct answer; an answer that is given ten thousand
times is wrong ten thousand times or never. What central answers is kept in place of the edge's, in all
levels, so that its error ends with the hits that it took to be noticed.

Hits are counted where the first level is looked up, of routes that want it and of the edge's certified
answers only. One that is due looks like an entry that is due for an early refresh, so that the look-up
has no further branch. It is also the hit that goes the whole way, with its inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from cache.early_refresh import EarlyRefreshes
from cache.levels.level import Entry, NearLevel
from gateway.core.clock import Clock
from gateway.core.request import EDGE, Request
from gateway.core.service import Service

MOST_COUNTED: Final = 8192
"""Answers whose hits are counted at a time; the one that is counted longest goes."""


class PopularAnswers:
    """How often answers of the edge were given lately; due: ``after`` times."""

    def __init__(self, after: int, most: int = MOST_COUNTED) -> None:
        self._after, self._most = after, most
        self._hits: dict[bytes, int] = {}

    def __repr__(self) -> str:
        return f"<PopularAnswers {len(self._hits)}, due after {self._after} hits>"

    def count(self, key: bytes, entry: Entry) -> bool:
        """Count a hit; return whether it is due for being verified."""
        provenance = entry.response.provenance
        if provenance.origin != EDGE or not provenance.certified:
            return False
        hits = self._hits.get(key, 0) + 1
        if hits == 1 and len(self._hits) >= self._most:
            del self._hits[next(iter(self._hits))]
        self._hits[key] = hits
        return hits >= self._after

    def is_due(self, key: bytes) -> bool:
        """Whether it has been given often enough."""
        return self._hits.get(key, 0) >= self._after

    def forget(self, key: bytes) -> None:
        """Count from nothing again."""
        self._hits.pop(key, None)


class CountedLevel:
    """The first level as the look-up of one route sees it: its hits are counted, all else is the level's."""

    def __init__(self, level: NearLevel, popular: PopularAnswers) -> None:
        self._level, self._popular = level, popular
        self.name, self.is_shared, self.has_room = level.name, level.is_shared, level.has_room
        self.get, self.put, self.delete, self.aclose = level.get, level.put, level.delete, level.aclose
        self.stored, self.forget, self.stats = level.stored, level.forget, level.stats

    def __repr__(self) -> str:
        return f"{self._level!r} {self._popular!r}"

    def peek(self, key: bytes) -> Entry | None:
        """Return what the level holds; what is due for being verified looks due for a refresh."""
        entry = self._level.peek(key)
        if entry is None or not self._popular.count(key, entry):
            return entry
        return replace(entry, compute_s=math.inf)

    def glance(self, key: bytes) -> Entry | None:
        """Return what the level holds, and not what is due: its request must come with its inputs."""
        entry = self._level.glance(key)
        if entry is None or self._popular.count(key, entry):
            return None
        return entry


class VerifyingRefreshes(EarlyRefreshes):
    """Early refreshes of a route, of which those of popular answers go to central.

    Args:
        clock: the clock of deadlines.
        timeout_s: for each.
        most: at once.
        popular: what is due.
        verify: answers as central does, and keeps that.
        may_verify: whether there is room for one more now. Where there is none, it is due again after as many
            hits.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        timeout_s: float,
        most: int,
        popular: PopularAnswers,
        verify: Service,
        may_verify: Callable[[], bool],
    ) -> None:
        super().__init__(clock, timeout_s=timeout_s, most=most)
        self._popular, self._verify, self._may_verify = popular, verify, may_verify

    def start(self, request: Request, service: Service) -> None:
        """Have a popular answer verified, and any other refreshed."""
        if not self._popular.is_due(request.key):
            super().start(request, service)
            return
        self._popular.forget(request.key)
        if self._may_verify():
            super().start(request, self._verify)


_: type[NearLevel] = CountedLevel
