"""Statistics of several processes as one, and what a client gets of them."""

from __future__ import annotations

from gateway.core.statistics import BatchStatistics, Counted, Duration, InferStatistics, ModelStatistics


def part(
    version: str, count: int, *, batches: dict[int, int] | None = None, fails: int = 0
) -> ModelStatistics:
    """``count`` rows of as many requests, each a millisecond; ``batches``: runs by their rows."""
    return ModelStatistics(
        "m",
        version,
        last_inference=count,
        inference_count=count,
        execution_count=count,
        inference_stats=InferStatistics(success=Duration(count, count * 1_000_000), fail=Duration(fails)),
        batch_stats=[
            BatchStatistics(size, compute_infer=Duration(runs, runs))
            for size, runs in (batches or {}).items()
        ],
    )


def test_durations_add_up() -> None:
    duration = Duration()
    duration.add(0.5)
    duration.add(0.25, count=2)

    assert duration == Duration(3, 1_000_000_000)


def test_parts_of_one_version_are_added_up_and_not_changed() -> None:
    """Counts and times are summed, batches by their size; the last inference is the latest."""
    one, other = part("1", 2, batches={4: 1, 1: 2}), part("1", 5, batches={4: 3, 2: 1})
    (both,) = Counted([one, other]).parts()

    assert (both.last_inference, both.inference_count, both.execution_count) == (5, 7, 7)
    assert both.inference_stats.success == Duration(7, 7_000_000)
    assert [(batch.batch_size, batch.compute_infer.count) for batch in both.batch_stats] == [
        (1, 2),
        (2, 1),
        (4, 4),
    ]
    assert (one, other) == (part("1", 2, batches={4: 1, 1: 2}), part("1", 5, batches={4: 3, 2: 1}))


def test_report_names_the_versions_that_are_wanted() -> None:
    """Zeros for those that did nothing; all that did something when none is named."""
    counted = Counted([part("2", 1), part("10", 1)])

    assert [entry.version for entry in counted.report("m", ())] == ["2", "10"]
    assert [(entry.version, entry.inference_count) for entry in counted.report("m", ("10", "11"))] == [
        ("10", 1),
        ("11", 0),
    ]
    assert counted.report("other", ()) == [ModelStatistics("other", "")]


def test_failures_before_the_version_is_known_count_for_the_highest() -> None:
    """The highest as a number: 10 is above 9, and what is no number is below all."""
    counted = Counted([part("", 0, fails=3), part("9", 1), part("10", 1), part("beta", 1)])
    fails = {entry.version: entry.inference_stats.fail.count for entry in counted.report("m", ())}

    assert fails == {"9": 0, "10": 3, "beta": 0}
    assert counted.models() == ["m"]


def test_nothing_counted_shows_so() -> None:
    assert repr(Counted()) == "<Counted nothing>"
    assert repr(Counted([part("1", 1)])) == "<Counted m>"
