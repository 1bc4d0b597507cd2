"""Hashes that every gateway computes alike."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_STEP: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1


def hash_of(text: bytes, purpose: bytes = b"") -> int:
    """Return 64 bits for ``text``; different purposes have nothing to do with each other."""
    return int.from_bytes(blake2b(text, digest_size=8, person=purpose).digest(), "little")


def points_of(name: str, count: int) -> npt.NDArray[Any]:
    """Return the first ``count`` of a member's 64-bit places; fewer are always the first of more.

    The generator is SplitMix64 (G. Steele, D. Lea, C. Flood, 2014), begun at a hash of the name.
    """
    seed = hash_of(name.encode(), b"ring")
    steps = np.arange(1, count + 1, dtype=np.uint64)
    points: npt.NDArray[Any] = steps * np.uint64(_STEP) + np.uint64(seed & _MASK)
    points = (points ^ (points >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    points = (points ^ (points >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    points ^= points >> np.uint64(31)
    return points
