"""What the secrets of a level stand for."""

from __future__ import annotations

from cache.levels.redis_secrets import kept_under
from tests.cache.build import SECRET, entry

KEY = bytes(32)


def test_each_secret_has_names_and_a_seal() -> None:
    new, old = kept_under((b"n" * 32, SECRET), namespace="edgeway", level="l2", most_bytes=10_000)
    assert new.names.of(KEY) != old.names.of(KEY)
    assert old.envelope.open(KEY, old.envelope.seal(KEY, entry())) == entry().at("l2")
