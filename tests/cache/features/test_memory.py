"""Bounded memory of vectors."""

from __future__ import annotations

import tracemalloc

from cache.features.memory import NAME_BYTES, Kept, VectorMemory


def kept(size: int = 100) -> Kept:
    return Kept(bytes(size), 10.0, 20.0)


def test_it_never_takes_more_than_it_may() -> None:
    """Whatever is put, dropped and replaced, the account is that of what is there."""
    memory = VectorMemory(10 * (NAME_BYTES + 101))
    for number in range(1000):
        memory.put(b"%d" % (number % 37), kept(number % 90))
        assert memory.taken_bytes <= 10 * (NAME_BYTES + 101)
        if not number % 3:
            memory.drop(b"%d" % (number % 11))
    for number in range(37):
        memory.drop(b"%d" % number)

    assert (memory.taken_bytes, len(memory)) == (0, 0)


def test_what_was_asked_for_stays_and_the_rest_leaves() -> None:
    memory = VectorMemory(3 * (NAME_BYTES + 101))
    for name in (b"a", b"b", b"c"):
        memory.put(name, kept())
    memory.get(b"a")

    memory.put(b"d", kept())

    assert memory.get(b"a") is not None
    assert memory.get(b"b") is None


def test_what_is_too_large_is_not_kept_and_pushes_nothing_out() -> None:
    memory = VectorMemory(NAME_BYTES + 200)
    memory.put(b"a", kept())
    memory.put(b"b", kept(10_000))

    assert memory.get(b"a") is not None
    assert memory.get(b"b") is None
    memory.clear()
    assert "0 entities" in repr(memory)
    assert "absent" in repr(Kept(None, 1.0, 2.0))
    assert "100 bytes" in repr(kept())


def test_an_entry_takes_no_more_than_it_is_charged() -> None:
    """Measured: the name's and the vector's bytes, and what CPython adds to them."""
    memory = VectorMemory(1 << 30)
    names = [b"name-%06d" % number for number in range(10_000)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for name in names:
        memory.put(bytes(bytearray(name)), Kept(bytes(bytearray(100)), float(len(name)), 20.5))
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert 0.5 * memory.taken_bytes < taken <= memory.taken_bytes
