"""Latencies of many kinds: each apart, and bounded."""

from __future__ import annotations

from resilience.latencies import MAX_KINDS, Latencies


def test_kinds_are_apart() -> None:
    """Two models of one route, and two percentiles of one model."""
    latencies = Latencies()
    kinds = [("r", "light", 95.0), ("r", "heavy", 95.0), ("r", "heavy", 50.0), ("s", "heavy", 95.0)]
    for number, kind in enumerate(kinds):
        for _ in range(20):
            latencies.answered(kind).add(0.01 * 2**number, 0.0)

    found = [latencies.get(kind) for kind in kinds]

    assert [repr(each) for each in found] == [
        *("<Quantile p95 10.1 ms>", "<Quantile p95 20.3 ms>", "<Quantile p50 40.5 ms>"),
        "<Quantile p95 81.1 ms>",
    ]


def test_nothing_is_known_of_what_was_never_answered() -> None:
    assert Latencies().get(("r", "any", 95.0)) is None


def test_memory_is_bounded() -> None:
    """The one that is known longest goes."""
    latencies = Latencies(2)
    first = latencies.answered(("r", "a", 95.0))
    assert latencies.answered(("r", "a", 95.0)) is first
    for model in "bc":
        latencies.answered(("r", model, 95.0))

    assert latencies.get(("r", "a", 95.0)) is None
    assert repr(latencies) == "<Latencies of 2 kinds>"
    assert MAX_KINDS == 1024
