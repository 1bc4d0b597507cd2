"""S3-FIFO by itself; what it does to a cache, test_memory.py and the simulations have."""

from __future__ import annotations

import math

from cache.eviction.s3fifo import NAME_BYTES, Node, S3Fifo
from cache.simulation.s3fifo import Value


def node(name: str, size: int = 100, expiry: float = math.inf) -> Node[Value]:
    return Node(name, Value(expiry), size)


def test_what_has_expired_leaves_however_often_it_was_hit() -> None:
    """In small and in main it gets no further turn."""
    fifo: S3Fifo[Value] = S3Fifo()
    hot, stale = node("hot"), node("stale", expiry=10)
    for each in (hot, stale):
        each.hits = 3
        fifo.admit(each)

    assert fifo.evict(now=9) == (None, ""), "hot goes to main"
    assert fifo.evict(now=10) == (stale, "expired")
    assert repr(fifo) == "<S3Fifo 0 small, 1 main, 1 ghosts>"


def test_names_go_with_the_last_place() -> None:
    """Ghost holds as many names as there are places; an empty set of queues evicts its names alone."""
    fifo: S3Fifo[Value] = S3Fifo()
    fifo.admit(node("a"))
    fifo.admit(node("b"))
    assert fifo.evict(0)[1] == "small"
    assert fifo.bytes == 100 + NAME_BYTES

    assert fifo.evict(0)[1] == "small"

    assert fifo.evict(0) == (None, "")
    assert fifo.bytes == fifo.num_ghosts == fifo.num_places == 0


def test_a_deleted_place_leaves_without_a_name() -> None:
    """It counts with what a place takes, and is not remembered."""
    fifo: S3Fifo[Value] = S3Fifo()
    gone = node("a", 1000)
    fifo.admit(gone)
    fifo.admit(node("b"))
    gone.hold(None)
    assert fifo.occupancy().bytes == fifo.bytes == 380

    assert fifo.evict(0)[0] is gone
    assert fifo.num_ghosts == 0
