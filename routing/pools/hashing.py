"""Hashes that every gateway computes alike."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import numpy as np
import numpy.typing as npt

_STEP: Final = 0x9E3779B97F4A7C15


def hash_of(text: bytes, purpose: bytes = b"") -> int:
    """Return 64 bits for ``text``; different purposes have nothing to do with each other."""
    return int.from_bytes(blake2b(text, digest_size=8, person=purpose).digest(), "little")


def points_of(names: Sequence[str], counts: Sequence[int]) -> npt.NDArray[np.uint64]:
    """Return the first 64-bit places of each of ``names``, as many as its count, one behind the other.

    Fewer are always the first of more. The generator is SplitMix64 (G. Steele, D. Lea, C. Flood, 2014), begun
    at a hash of the name.
    """
    seeds = np.repeat(np.array([hash_of(name.encode(), b"ring") for name in names], np.uint64), counts)
    steps = np.arange(1, len(seeds) + 1) - np.repeat(np.cumsum(counts) - counts, counts)
    return mixed(seeds + steps.astype(np.uint64) * np.uint64(_STEP))


def mixed(points: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return other 64 bits for each, which have nothing to do with each other (SplitMix64's finish)."""
    points = (points ^ (points >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    points = (points ^ (points >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    points ^= points >> np.uint64(31)
    return points
