"""SIEVE (Zhang, Yang, Yue, Vigfusson, Rashmi: SIEVE is Simpler than LRU, NSDI 2024).

One queue, newcomers at its head, and a hand that goes from the tail towards the head: what was hit since it
last came by stays where it is, the first that was not leaves. The queue is a doubly linked list.
"""

from __future__ import annotations

import math
from collections.abc import Hashable

from cache.eviction.s3fifo import SMALL_SHARE


class _Link:
    __slots__ = ("expiry", "key", "newer", "older", "size", "was_hit")

    def __init__(self, key: Hashable, size: int, expiry: float) -> None:
        self.key, self.size, self.expiry = key, size, expiry
        self.was_hit = False
        self.newer: _Link | None = None
        self.older: _Link | None = None


class SieveCache:
    """SIEVE in ``max_bytes``."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._links: dict[Hashable, _Link] = {}
        self._newest: _Link | None = None
        self._oldest: _Link | None = None
        self._hand: _Link | None = None
        self.taken_bytes = 0

    def __repr__(self) -> str:
        return f"<SieveCache {self.taken_bytes} of {self._max_bytes} bytes, {len(self._links)} entries>"

    def get(self, key: Hashable, now: float = 0.0) -> bool:
        """Look up; whether there is a value that is fresh at ``now``."""
        link = self._links.get(key)
        if link is None:
            return False
        link.was_hit = True
        return now < link.expiry

    def put(self, key: Hashable, size: int, expiry: float = math.inf) -> None:
        """Hold a value of ``size`` bytes until ``expiry``, and evict what is then too much."""
        link = self._links.get(key)
        if size > self._max_bytes * SMALL_SHARE:
            if link is not None:
                self._remove(link)
            return
        if link is not None:
            self.taken_bytes += size - link.size
            link.size, link.expiry = size, expiry
        # Room is made before a newcomer is there: nobody has had the time to hit it.
        coming = 0 if link is not None else size
        while self.taken_bytes + coming > self._max_bytes:
            self._evict()
        if link is None:
            self._insert(_Link(key, size, expiry))

    def _insert(self, link: _Link) -> None:
        self._links[link.key] = link
        self.taken_bytes += link.size
        link.older = self._newest
        if self._newest is not None:
            self._newest.newer = link
        self._newest = link
        if self._oldest is None:
            self._oldest = link

    def _evict(self) -> None:
        link = self._hand or self._oldest
        assert link is not None, "something takes the bytes"
        while link.was_hit:
            link.was_hit = False
            following = link.newer or self._oldest
            assert following is not None, "there is one at least"
            link = following
        self._hand = link.newer
        self._remove(link)

    def _remove(self, link: _Link) -> None:
        del self._links[link.key]
        self.taken_bytes -= link.size
        if self._hand is link:
            self._hand = link.newer
        if link.newer is not None:
            link.newer.older = link.older
        else:
            self._newest = link.older
        if link.older is not None:
            link.older.newer = link.newer
        else:
            self._oldest = link.newer
