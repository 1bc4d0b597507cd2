"""What is remembered for each tenant and residency class by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.partitions import Lesson, Partition, PartitionedMemory

ACME, UMBRELLA, STRICT = (
    Partition(1, "acme", "anywhere"),
    Partition(1, "umbrella", "anywhere"),
    Partition(1, "acme", "eu-only"),
)


def filled(memory: PartitionedMemory[int, int], partition: Partition, count: int, cost: int = 10) -> None:
    for key in range(count):
        memory.keep(partition, key, key, cost)


def held(memory: PartitionedMemory[int, int], partition: Partition, count: int = 100) -> list[int]:
    return [key for key in range(count) if memory.get(partition, key) is not None]


def test_nobody_finds_what_another_has_left() -> None:
    """Neither another tenant nor another residency class of the same one."""
    memory = PartitionedMemory[int, int](100, 1000)
    memory.keep(ACME, 1, 5, 10)

    assert memory.get(ACME, 1) == 5
    assert (memory.get(UMBRELLA, 1), memory.get(STRICT, 1), memory.get(ACME, 2)) == (None, None, None)
    assert repr(memory) == "<PartitionedMemory 1 in 1 partitions, 10 bytes>"


def test_the_oldest_gives_way_within_its_partition() -> None:
    """However much one keeps, another's stays."""
    dropped: list[int] = []
    memory = PartitionedMemory[int, int](50, 1000, dropped.append)
    filled(memory, UMBRELLA, 5)
    filled(memory, ACME, 50)

    assert held(memory, ACME) == [45, 46, 47, 48, 49]
    assert held(memory, UMBRELLA) == [0, 1, 2, 3, 4]
    assert dropped == list(range(45))


def test_in_all_the_largest_gives_way() -> None:
    """One that has less than an equal part loses nothing to any number of others."""
    memory = PartitionedMemory[int, int](100, 200)
    filled(memory, ACME, 2)
    for number in range(8):
        filled(memory, Partition(1, f"t{number}", ""), 10)

    assert held(memory, ACME) == [0, 1]
    assert len(memory) == 20
    assert "200 bytes" in repr(memory)


def test_the_same_key_again_is_one_value() -> None:
    """It takes the place of the one before, and is the newest."""
    memory = PartitionedMemory[int, int](30, 30)
    filled(memory, ACME, 3)
    memory.keep(ACME, 0, 7, 10)
    memory.keep(ACME, 3, 3, 10)

    assert (memory.get(ACME, 0), held(memory, ACME)) == (7, [0, 2, 3])


def test_what_is_too_large_is_not_kept() -> None:
    """It would only displace everything else; whoever made it hears of it."""
    dropped: list[int] = []
    memory = PartitionedMemory[int, int](30, 300, dropped.append)
    filled(memory, ACME, 2)
    memory.keep(ACME, 9, 9, 31)

    assert (held(memory, ACME), dropped) == ([0, 1], [9])


def test_a_newer_generation_begins_with_nothing() -> None:
    """Another policy may allow less; what an older one's request leaves after that is not kept."""
    dropped: list[int] = []
    memory = PartitionedMemory[int, int](100, 1000, dropped.append)
    filled(memory, ACME, 3)
    filled(memory, UMBRELLA, 1)

    assert memory.get(ACME._replace(generation=2), 0) is None
    assert (len(memory), sorted(dropped)) == (0, [0, 0, 1, 2])
    memory.keep(ACME, 1, 1, 10)
    assert len(memory) == 0
    memory.keep(ACME._replace(generation=3), 1, 1, 10)
    memory.keep(ACME._replace(generation=2), 1, 1, 10)
    assert (memory.get(ACME._replace(generation=3), 1), len(memory)) == (1, 1)


def test_a_lesson_is_kept_when_it_is_learned() -> None:
    """And not before."""
    memory = PartitionedMemory[bytes, int](100, 100)
    lesson = Lesson(memory, ACME, b"key", 5, 10)

    assert memory.get(ACME, b"key") is None
    lesson.learn()
    assert memory.get(ACME, b"key") == 5


@given(st.lists(st.tuples(st.sampled_from([ACME, UMBRELLA, STRICT]), st.integers(0, 9), st.integers(1, 60))))
def test_the_bounds_hold(kept: list[tuple[Partition, int, int]]) -> None:
    """Whatever is kept in whatever order, the sizes are those of what is there."""
    memory = PartitionedMemory[int, int](50, 80)
    for partition, key, cost in kept:
        memory.keep(partition, key, cost, cost)

        sizes = [sum(memory.get(each, key) or 0 for key in range(10)) for each in (ACME, UMBRELLA, STRICT)]
        assert max(sizes) <= 50
        assert sum(sizes) <= 80
        assert f"{sum(sizes)} bytes" in repr(memory)
