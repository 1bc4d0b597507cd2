"""What was seen lately, as a pair of Bloom filters: bounded memory, and never more than 1 % mistaken.

A Bloom filter forgets nothing, so one that is never emptied ends up saying yes to everything: filled to
four times what it was made for, it is mistaken about 60 % of the keys. Here are two. New keys go into the
*current* one, and a key was seen if either has it. When the current one is full, or old enough, it becomes
the *previous* one and an empty one takes its place. So a key is remembered for at least one turn and for at
most two, unless it is seen again.

Keys are hashed by BLAKE2b, never by Python's ``hash``, which differs between processes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from rbloom import Bloom

FALSE_POSITIVES: Final = 0.01
"""The share of unseen keys that may be taken for seen ones, at most: of both filters together."""

_OF_EACH: Final = 0.4 * FALSE_POSITIVES
"""What each filter is made for when full: rbloom rounds the number of hashes, which costs a little."""

_HASH_BYTES: Final = 16
_MOST_SECRET_BYTES: Final = 64


class RotatingBloom:
    """Remembers the last ``capacity`` to twice as many keys. A key takes about 3 bytes, held in advance.

    ``now`` returns seconds that never go back; after ``most_age_s`` of them the filters are rotated though
    the current one is not full. ``secret``, 64 bytes at most, keys the hashes: without it, who may choose
    keys can choose some that are mistaken for others.
    """

    def __init__(
        self,
        capacity: int,
        *,
        now: Callable[[], float],
        most_age_s: float = math.inf,
        secret: bytes = b"",
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity is {capacity}: at least one key must fit")
        self._capacity = capacity
        self._now = now
        self._most_age_s = most_age_s
        self._hasher = blake2b(key=secret[:_MOST_SECRET_BYTES], digest_size=_HASH_BYTES)
        self._current = self._empty()
        self._previous = self._empty()
        self._num_current = 0
        self._num_previous = 0
        self._since_s = now()
        self.rotations = 0
        """How often the filters were rotated."""

    def __repr__(self) -> str:
        return (
            f"<RotatingBloom {self._num_current}+{self._num_previous} of {self._capacity} keys,"
            f" {self.rotations} rotations>"
        )

    def __contains__(self, key: bytes) -> bool:
        """Whether ``key`` was added in this turn or the last; wrong for fewer than 1 % of the others."""
        self._age()
        number = self._hash(key)
        return number in self._current or number in self._previous

    def add(self, key: bytes) -> bool:
        """Remember ``key``. Return whether it was there before, as ``in`` would have said."""
        self._age()
        number = self._hash(key)
        if number in self._current:
            return True
        was_there = number in self._previous
        if self._num_current >= self._capacity:
            self._rotate()
        self._current.add(number)
        self._num_current += 1
        return was_there

    def __len__(self) -> int:
        """Return how many keys were put into the two filters; one that is in both counts twice."""
        return self._num_current + self._num_previous

    @property
    def size_bytes(self) -> int:
        """What both filters take, full or empty."""
        return (self._current.size_in_bits + self._previous.size_in_bits) // 8

    @property
    def fill(self) -> float:
        """The share of the current filter's keys that are in it: at 1 it is rotated."""
        return self._num_current / self._capacity

    @property
    def false_positives(self) -> float:
        """The share of unseen keys that are taken for seen ones, from the bits that are set.

        Counts bits: about 2 ms a million keys of ``capacity``.
        """
        return 1 - math.prod(1 - self._mistaken(each) for each in (self._current, self._previous))

    def _mistaken(self, bloom: Bloom) -> float:
        # Undoes what approx_items does: the share of bits set, to the power of the number of hashes.
        bits = bloom.size_in_bits
        hashes = max(1, int(bits / self._capacity * math.log(2)))
        return float((1 - math.exp(-hashes * bloom.approx_items / bits)) ** hashes)

    def _hash(self, key: bytes) -> int:
        hasher = self._hasher.copy()
        hasher.update(key)
        return int.from_bytes(hasher.digest(), "little", signed=True)

    def _age(self) -> None:
        age_s = self._now() - self._since_s
        if age_s < self._most_age_s:
            return
        self._rotate()
        if age_s >= 2 * self._most_age_s:
            # Nobody has looked for so long that what was current is out of date as well.
            self._rotate()

    def _rotate(self) -> None:
        self._previous, self._current = self._current, self._empty()
        self._num_previous, self._num_current = self._num_current, 0
        self._since_s = self._now()
        self.rotations += 1

    def _empty(self) -> Bloom:
        return Bloom(self._capacity, _OF_EACH, int)
