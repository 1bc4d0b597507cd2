"""What time tells one tenant of another: how it is judged; at night, what it is."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.isolation import auc, candidates, main, measure, verdict

times = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=30)


@given(times, times)
def test_auc_is_the_part_of_pairs_that_are_in_order(hits: list[float], misses: list[float]) -> None:
    """By its definition, pair by pair; ties count half."""
    pairs = [(miss > hit) + (miss == hit) / 2 for hit in hits for miss in misses]

    assert auc(hits, misses) == pytest.approx(sum(pairs) / len(pairs))


@pytest.mark.parametrize(
    ("scope", "value", "is_good"),
    [
        ("tenant", 0.5, True),
        ("tenant", 0.44, False),
        ("tenant", 0.56, False),
        ("residency", 0.96, True),
        ("residency", 0.95, False),
        ("residency", 0.5, False),
    ],
)
def test_a_probe_that_cannot_tell_proves_nothing(scope: str, value: float, is_good: bool) -> None:
    """Where answers are shared it has to find out; where they are not it must not."""
    assert verdict(scope, value) is is_good


@pytest.mark.parametrize("is_shared", [True, False])
def test_the_prober_asks_for_both_halves(is_shared: bool) -> None:
    """It tells them apart exactly where answers are shared; nobody asks twice for the same."""
    kept: set[bytes] = set()
    asked: list[tuple[str, bytes]] = []

    def probe(tenant: str, picture) -> float:
        asked.append((tenant, picture.tobytes()))
        took = 1.0 if picture.tobytes() in kept else 2.0
        if is_shared:
            kept.add(picture.tobytes())
        return took

    value = measure(probe, 130, Random(1))

    assert value == (1.0 if is_shared else 0.5)
    assert len(set(asked)) == len(asked)
    assert sum(tenant == "victim" for tenant, _ in asked) == 130
    assert sum(tenant == "prober" for tenant, _ in asked) == 100 + 260


def test_the_same_seed_gives_the_same_pictures() -> None:
    one, two = ([picture.tobytes() for picture in candidates(Random(seed), 20)] for seed in (3, 3))

    assert one == two
    assert len(set(one)) == 20


@pytest.mark.nightly
def test_time_tells_nothing_of_another_tenant() -> None:
    """Twice 1,000 probes over JSON, binary and gRPC; with shared answers each of them tells."""
    assert main(["--probes", "1000"]) == 0
