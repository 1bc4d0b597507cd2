"""The level's own policy, without the values."""

from __future__ import annotations

import math
from collections.abc import Hashable

from cache.eviction.s3fifo import MOST_HITS, NAME_BYTES, PLACE_BYTES, SMALL_SHARE, Node, S3Fifo


class Value:
    """Stands for a value: all that is left of it is its expiry."""

    __slots__ = ("hard_expiry",)

    def __init__(self, hard_expiry: float) -> None:
        self.hard_expiry = hard_expiry


_FOR_EVER = Value(math.inf)


class S3FifoCache:
    """S3-FIFO in ``max_bytes``, names in ghost included."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._nodes: dict[Hashable, Node[Value]] = {}
        self._fifo: S3Fifo[Value] = S3Fifo()

    def __repr__(self) -> str:
        return f"<S3FifoCache {self.taken_bytes} of {self._max_bytes} bytes, {self._fifo.shape}>"

    @property
    def taken_bytes(self) -> int:
        """Bytes that the values would take, and the names."""
        return self._fifo.bytes

    @property
    def own_bytes(self) -> int:
        """Bytes that this simulation takes itself."""
        return self._fifo.num_places * PLACE_BYTES + self._fifo.num_ghosts * NAME_BYTES

    def get(self, key: Hashable, now: float = 0.0) -> bool:
        """Look up; whether there is a value that is fresh at ``now``."""
        node = self._nodes.get(key)
        if node is None or node.held is None:
            return False
        if node.hits < MOST_HITS:
            node.hits += 1
        return now < node.held.hard_expiry

    def put(self, key: Hashable, size: int, expiry: float = math.inf) -> None:
        """Hold a value of ``size`` bytes until ``expiry``, and evict what is then too much."""
        node = self._nodes.get(key)
        value = _FOR_EVER if expiry == math.inf else Value(expiry)
        if size > self._max_bytes * SMALL_SHARE:
            if node is not None:
                node.hold(None)
            return
        if node is not None:
            node.hold(value, size)
        else:
            node = self._nodes[key] = Node(key, value, size)
            self._fifo.admit(node)
        while self._fifo.bytes > self._max_bytes:
            left, _ = self._fifo.evict(-math.inf)
            if left is not None:
                del self._nodes[left.key]
