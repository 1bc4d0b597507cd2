"""An answer and its lease: told apart by their names, under one prefix, in one slot of a Redis Cluster."""

from __future__ import annotations

import random

from redis.cluster import key_slot

from cache.levels.key_names import lease_name, value_name

PREFIX = "edgeway:1:"
CHANCE = random.Random(5)
KEYS = [CHANCE.randbytes(32) for _ in range(200)]


def test_an_answer_and_its_lease_lie_in_one_slot() -> None:
    """A script that works on both would be refused otherwise; redis-py says which slot a name has."""
    slots = [key_slot(value_name(PREFIX, key).encode()) for key in KEYS]

    assert [key_slot(lease_name(PREFIX, key).encode()) for key in KEYS] == slots
    assert len(set(slots)) > 190


def test_names_are_all_different_and_begin_with_the_prefix() -> None:
    """By which an ACL is bound."""
    names = [naming(PREFIX, key) for key in KEYS for naming in (value_name, lease_name)]

    assert len(set(names)) == 400
    assert all(name.startswith(PREFIX) for name in names)
