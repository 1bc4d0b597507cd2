"""Bytes that only who has the secret can read, and that are good in one place only.

``nonce of 12 bytes | AES-256-GCM``. Each cache key has an encryption key of its own, a BLAKE3 hash of it
keyed with the secret. A cache key is a hash of tenant or residency class, of the models' digests, of the
epochs and of the request, so this is finer than a key for each of those. The cache key and the ``head``,
which is in the clear, are associated data: what was sealed for one key or head opens under no other.

Nonces are random. Under one encryption key there are as many as there are writes of one answer: after 2**32
of them, which is one a second for 136 years, two are the same with a chance of 2**-33.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.core.tensor import Buffer

NONCE_BYTES: Final = 12
SEAL_BYTES: Final = NONCE_BYTES + 16
"""What sealing adds."""

_CONTEXT: Final = "edgeway cache 2 values"


class SealError(ValueError):
    """The bytes were not sealed here: with another secret, for another key, or they were changed since."""


class Seal:
    """Seals with one ``secret`` of 32 bytes."""

    def __init__(self, secret: bytes, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._keyed = blake3(key=blake3(secret, derive_key_context=_CONTEXT).digest())
        self._random_bytes = random_bytes

    def __repr__(self) -> str:
        return "<Seal AES-256-GCM>"

    def close(self, key: bytes, head: bytes, plain: Buffer | bytearray) -> bytes:
        """Return ``head``, and ``plain`` sealed behind it."""
        nonce = self._random_bytes(NONCE_BYTES)
        return b"".join((head, nonce, self._cipher(key).encrypt(nonce, plain, head + key)))

    def open(self, key: bytes, head: bytes, sealed: bytes) -> bytes:
        """Return what was sealed under ``key`` behind ``head``, with which ``sealed`` begins.

        Raises:
            SealError: it was not.
        """
        start = len(head) + NONCE_BYTES
        if len(sealed) < len(head) + SEAL_BYTES:
            raise SealError("too short to be sealed")
        try:
            # A view: the value is not copied.
            body = memoryview(sealed)[start:]
            return self._cipher(key).decrypt(sealed[len(head) : start], body, head + key)
        except InvalidTag:
            raise SealError("the seal does not fit key and value") from None

    def _cipher(self, key: bytes) -> AESGCM:
        digest = self._keyed.copy()
        digest.update(key)
        return AESGCM(digest.digest())
