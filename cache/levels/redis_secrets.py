"""Secrets that change without a flush: each has names and a seal of its own, and all are looked for at once.

What is written is sealed with the first. What the others have sealed is found under their names, in the same
round trip, until it has expired.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from cache.levels.envelope import Envelope
from cache.levels.redis_names import RedisNames


class KeptUnder(Struct, frozen=True):
    """What one secret calls and seals its values with."""

    names: RedisNames
    envelope: Envelope


def kept_under(
    secrets: Sequence[bytes], *, namespace: str, level: str, most_bytes: int
) -> tuple[KeptUnder, ...]:
    """Return what each of ``secrets``, of 32 bytes, stands for, in their order."""
    return tuple(
        KeptUnder(RedisNames(namespace, secret), Envelope(secret, level, most_bytes)) for secret in secrets
    )
