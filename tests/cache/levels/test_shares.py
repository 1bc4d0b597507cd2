"""Quotas: what is reserved is never taken, what is not needed is lent, and it comes back at once."""

from __future__ import annotations

import random

import pytest
from msgspec.structs import replace

from cache.levels.memory import MemoryLevel, MemorySettings
from cache.levels.shares import Shares
from gateway.core.telemetry import Silence
from tests.cache.levels.test_memory import SMALL_ENTRY, key, now, sized

LIMIT = 1 << 20
OF_ACME = replace(SMALL_ENTRY, holder="acme")
OF_UMBRELLA = replace(SMALL_ENTRY, holder="umbrella")


def level(**quotas: float) -> MemoryLevel:
    memory = MemoryLevel(MemorySettings(max_bytes=LIMIT), Silence())
    memory.reserve(quotas)
    return memory


def fill(memory: MemoryLevel, entry: object, start: int, count: int, hits: int = 0) -> None:
    for number in range(start, start + count):
        now(memory.put(key(number), entry))  # type: ignore[arg-type]
        for _ in range(hits):
            memory.peek(key(number))


def held(memory: MemoryLevel, start: int, count: int) -> int:
    return sum(memory.stored(key(number)) is not None for number in range(start, start + count))


@pytest.mark.parametrize("hits", [0, 6], ids=["one-hit wonders", "hot"])
def test_no_flood_takes_a_reserved_share(hits: int) -> None:
    """acme's entries are within its quota, so all of them outlive whatever umbrella asks for."""
    memory = level(acme=30)
    fill(memory, OF_ACME, 0, 100)

    fill(memory, OF_UMBRELLA, 1000, 5000, hits)

    assert held(memory, 0, 100) == 100


def test_without_a_quota_a_hot_flood_takes_everything() -> None:
    """The self-check of the one above; a flood of one-hit wonders does not get past S3-FIFO even then."""
    memory = level()
    fill(memory, OF_ACME, 0, 100, hits=3)
    fill(memory, OF_UMBRELLA, 1000, 5000)
    assert held(memory, 0, 100) == 100

    fill(memory, OF_UMBRELLA, 10_000, 8000, hits=6)

    assert held(memory, 0, 100) == 0


def test_what_nobody_needs_is_lent_and_comes_back_at_once() -> None:
    """umbrella may fill the whole level; acme gets its reserve back entry by entry, none of its own lost."""
    memory = level(acme=40, umbrella=10)
    fill(memory, OF_UMBRELLA, 1000, 5000, hits=6)
    assert held(memory, 1000, 5000) * SMALL_ENTRY.size > 0.8 * LIMIT
    count = int(0.4 * LIMIT / SMALL_ENTRY.size)

    fill(memory, OF_ACME, 0, count)

    assert held(memory, 0, count) == count
    assert memory.stats().evictions["quota"].entries > 0
    assert memory.stats().evictions["quota"].bytes % SMALL_ENTRY.size == 0


def test_the_one_furthest_above_its_share_gives_back() -> None:
    """Of two who are above theirs, the one with the larger excess loses entries, and the other none."""
    memory = level(acme=20, umbrella=20, other=1)
    fill(memory, OF_ACME, 0, int(0.25 * LIMIT / SMALL_ENTRY.size))
    fill(memory, OF_UMBRELLA, 1000, int(0.8 * LIMIT / SMALL_ENTRY.size))
    before = held(memory, 0, 1000)

    fill(memory, replace(SMALL_ENTRY, holder="nobody's"), 10_000, 100)

    assert held(memory, 0, 1000) == before
    assert held(memory, 10_000, 100) == 100


def test_a_reload_changes_quotas_and_forgets_nothing() -> None:
    """A quota that is gone protects no more, its entries can be found, and its share goes with the last one."""
    memory = level(acme=30)
    fill(memory, OF_ACME, 0, 100)
    memory.reserve({"umbrella": 50})
    assert held(memory, 0, 100) == 100

    fill(memory, OF_UMBRELLA, 1000, 5000, hits=6)
    memory.reserve({"umbrella": 100})
    fill(memory, OF_UMBRELLA, 9000, 3000, hits=6)

    assert held(memory, 0, 100) == 0
    assert [each.holder for each in memory.stats().holders] == ["umbrella", ""]
    assert memory.taken_bytes == memory.occupancy().bytes <= LIMIT


def test_an_entry_goes_on_the_account_of_who_brought_it_last() -> None:
    """Where answers are shared, the holder of the present one is charged."""
    memory = level(acme=30)
    now(memory.put(key(1), OF_UMBRELLA))
    now(memory.put(key(1), OF_ACME))

    charged = {each.holder: each.bytes for each in memory.stats().holders}

    assert charged["acme"] == SMALL_ENTRY.size
    assert memory.stats().entries == 1
    fill(memory, OF_UMBRELLA, 1000, 5000, hits=6)
    assert memory.stored(key(1)) is not None, "the place it left took nothing with it"


def test_books_balance_with_a_thousand_holders() -> None:
    """Whatever a thousand tenants do, the bytes are kept, counted, and no reserve is touched."""
    chance = random.Random(3)
    memory = level(**{f"t{number}": 0.05 for number in range(1000)})
    for turn in range(6000):
        holder = f"t{chance.randrange(1500)}"
        now(
            memory.put(
                key(chance.randrange(4000)), replace(sized(chance.choice([8, 500, 9000])), holder=holder)
            )
        )
        if not turn % 50:
            now(memory.delete(key(chance.randrange(4000))))
        if turn == 3000:
            memory.reserve({f"t{number}": 0.05 for number in range(500)})

    stats = memory.stats()
    assert memory.taken_bytes == memory.occupancy().bytes <= LIMIT
    assert stats.entries == held(memory, 0, 4000)
    assert len(stats.holders) == 20
    assert "quotas>" in repr(memory)


def test_more_than_all_is_never_reserved() -> None:
    """Percents beyond 100 together, which lint refuses, leave the later ones with less."""
    shares = Shares[object](1000)  # type: ignore[type-var]
    shares.reserve({"a": 80, "b": 80})

    assert (shares.of("a").reserved, shares.of("b").reserved, shares.of("c").reserved) == (800, 200, 0)
    assert repr(shares) == "<Shares of 2 holders and all others>"
    assert repr(shares.of("a")) == "<Share of a: 0 of 800 bytes, <S3Fifo 0 small, 0 main, 0 ghosts>>"
