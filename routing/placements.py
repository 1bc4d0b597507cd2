"""Which endpoint has the state of which sequence, as far as this process has sent its steps."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import Final

MOST: Final = 1 << 16
"""Sequences that are remembered: those used last. Others are where their keys lead, if all goes well."""


class Placements:
    """Remembers the last ``most`` sequences. Policies come and go; states stay where they are."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._endpoints: OrderedDict[bytes, str] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Placements {len(self._endpoints)}>"

    def get(self, key: bytes) -> str | None:
        """Return the endpoint of the sequence with ``key``; None: nothing is known of it."""
        return self._endpoints.get(_short(key))

    def put(self, key: bytes, endpoint: str) -> None:
        """Remember that ``endpoint`` has its state."""
        short = _short(key)
        self._endpoints[short] = endpoint
        self._endpoints.move_to_end(short)
        if len(self._endpoints) > self._most:
            self._endpoints.popitem(last=False)

    def forget(self, key: bytes) -> None:
        """Forget a sequence, which ends."""
        self._endpoints.pop(_short(key), None)


def _short(key: bytes) -> bytes:
    """Return 16 bytes for a key of any length: a stranger chose it."""
    return blake2b(key, digest_size=16).digest()
