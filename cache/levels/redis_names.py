"""What keys are called in Redis: a keyed hash, which is also what Redis Cluster finds their place by.

``NAMESPACE:VERSION:{HASH}`` is where an answer is, and what else there is about the same key has the same
beginning and ends otherwise. The braces are a hash tag of Redis Cluster: only what they hold decides on the
slot, so all names of one key are in one slot, and a script may use them together.

The hash is BLAKE3 of the cache key, keyed with a secret: who reads Redis cannot test a guess of what was
asked.
"""

from __future__ import annotations

from typing import Final

from blake3 import blake3

KEY_VERSION: Final = 2
"""Part of every name, so that builds with different envelopes do not delete each other's entries."""

_CONTEXT: Final = "edgeway cache 2 names"
_HASH_BYTES: Final = 16
"""Two keys of one hash would cost each other hits and nothing else: what is sealed for one does not open
as the other's."""


class RedisNames:
    """The names of one ``namespace`` under one ``secret`` of 32 bytes."""

    def __init__(self, namespace: str, secret: bytes) -> None:
        self._prefix = f"{namespace}:{KEY_VERSION}:"
        self._keyed = blake3(key=blake3(secret, derive_key_context=_CONTEXT).digest())

    def __repr__(self) -> str:
        return f"<RedisNames {self._prefix}>"

    def of(self, key: bytes) -> str:
        """Return where the answer of ``key`` is."""
        digest = self._keyed.copy()
        digest.update(key)
        return f"{self._prefix}{{{digest.hexdigest(_HASH_BYTES)}}}"

    def lease(self, key: bytes) -> str:
        """Return where it says who makes the answer of ``key``."""
        return f"{self.of(key)}:lease"
