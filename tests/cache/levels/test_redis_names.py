"""What keys are called in Redis."""

from __future__ import annotations

import pytest
from redis.crc import key_slot

from cache.levels.redis_names import KEY_VERSION, RedisNames

KEY, OTHER = bytes(range(32)), bytes(32)
NAMES = RedisNames("edgeway", b"s" * 32)


def test_a_name_says_whose_it_is_and_nothing_of_the_key() -> None:
    name = NAMES.of(KEY)
    assert name.startswith(f"edgeway:{KEY_VERSION}:{{")
    assert name.endswith("}")
    assert KEY.hex()[:16] not in name
    assert len({name, NAMES.of(OTHER), RedisNames("edgeway", b"t" * 32).of(KEY)}) == 3
    assert NAMES.of(KEY) == RedisNames("edgeway", b"s" * 32).of(KEY), "gateways agree"
    assert repr(NAMES) == f"<RedisNames edgeway:{KEY_VERSION}:>"


@pytest.mark.parametrize("number", range(20))
def test_an_answer_and_its_lease_are_in_one_slot(number: int) -> None:
    key = bytes([number]) * 32
    answer, lease = NAMES.of(key), NAMES.lease(key)
    assert answer != lease
    assert key_slot(answer.encode()) == key_slot(lease.encode())


def test_keys_are_in_many_slots() -> None:
    assert len({key_slot(NAMES.of(bytes([number]) * 32).encode()) for number in range(200)}) > 190
