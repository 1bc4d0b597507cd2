"""Bytes sealed for one key and one head."""

from __future__ import annotations

import pytest

from cache.levels.seal import SEAL_BYTES, Seal, SealError

KEY, OTHER, HEAD = bytes(range(32)), bytes(32), b"\x02"
SEAL = Seal(b"s" * 32)


@pytest.mark.parametrize("plain", [b"", b"x", b"answer" * 1000, memoryview(b"view")])
def test_what_was_sealed_opens(plain: bytes) -> None:
    sealed = SEAL.close(KEY, HEAD, plain)
    assert sealed.startswith(HEAD)
    assert len(sealed) == len(HEAD) + len(plain) + SEAL_BYTES
    assert Seal(b"s" * 32).open(KEY, HEAD, sealed) == plain


@pytest.mark.parametrize(
    ("seal", "key", "head"),
    [(SEAL, OTHER, HEAD), (Seal(b"t" * 32), KEY, HEAD), (SEAL, KEY, b"\x03")],
    ids=["another key", "another secret", "another head"],
)
def test_it_opens_nowhere_else(seal: Seal, key: bytes, head: bytes) -> None:
    sealed = SEAL.close(KEY, HEAD, b"answer")
    with pytest.raises(SealError):
        seal.open(key, head, head + sealed[1:])


@pytest.mark.parametrize("length", [0, 1, 12, 28])
def test_what_is_too_short_is_refused(length: int) -> None:
    with pytest.raises(SealError, match="too short"):
        SEAL.open(KEY, HEAD, HEAD + bytes(length - 1) if length else b"")


def test_a_nonce_is_new_every_time_and_keys_differ() -> None:
    nonces = {SEAL.close(KEY, HEAD, b"a")[1:13] for _ in range(200)}
    assert len(nonces) == 200
    fixed = Seal(b"s" * 32, random_bytes=bytes)
    assert fixed.close(KEY, b"", b"a" * 20)[12:32] != fixed.close(OTHER, b"", b"a" * 20)[12:32]
    assert "AES" in repr(fixed)
