"""Statistics of models: parts of one version added up, and who a failure belongs to."""

from __future__ import annotations

from gateway.core.statistics import (
    BatchStatistics,
    Counted,
    Duration,
    InferStatistics,
    ModelStatistics,
)


def part(
    version: str = "1", *, name: str = "m", last: int = 0, rows: int = 0, runs: int = 0, success: int = 0
) -> ModelStatistics:
    statistics = InferStatistics(success=Duration(success, success * 10))
    return ModelStatistics(name, version, last, rows, runs, statistics)


def test_durations_add_up() -> None:
    """Each of the events took as long."""
    duration = Duration(1, 5)

    duration.add(0.5, 3)
    duration.add(1e-9)

    assert duration == Duration(5, 1_500_000_006)


def test_parts_of_one_version_are_one() -> None:
    """Counts and times add up, the last inference is the later one, and the parts stay what they are."""
    one, other = part(last=7, rows=3, runs=2, success=1), part(last=5, rows=4, runs=1, success=2)

    (total,) = Counted([one, other]).parts()

    assert (total.last_inference, total.inference_count, total.execution_count) == (7, 7, 3)
    assert total.inference_stats.success == Duration(3, 30)
    assert (one.inference_count, one.inference_stats.success) == (3, Duration(1, 10))


def test_batches_of_one_size_are_one() -> None:
    """They are listed by size; one that only a part has is kept as it is."""
    one, other = part(), part()
    one.batch_stats = [BatchStatistics(8, compute_infer=Duration(1, 10)), BatchStatistics(4)]
    other.batch_stats = [BatchStatistics(8, compute_infer=Duration(2, 5), compute_input=Duration(1, 1))]

    (total,) = Counted([one, other]).parts()

    assert total.batch_stats == [
        BatchStatistics(4),
        BatchStatistics(8, compute_infer=Duration(3, 15), compute_input=Duration(1, 1)),
    ]


def test_every_version_seen_is_reported() -> None:
    """And those that are named, with zeros for what did nothing, each once; or one alone."""
    counted = Counted([part("2", success=1), part("1", success=2), part("1", name="other")])

    assert counted.models() == ["m", "other"]
    assert repr(counted) == "<Counted m other>"
    assert [found.version for found in counted.report("m", [])] == ["2", "1"]
    assert [found.inference_stats.success.count for found in counted.report("m", ["1", "9", "1"])] == [
        2,
        0,
        1,
    ]
    assert [found.version for found in counted.report("m", ["1", "9"], only="2")] == ["2"]
    assert counted.report("nobody", []) == [ModelStatistics("nobody", "")]
    assert repr(Counted()) == "<Counted nothing>"


def test_what_failed_before_its_version_was_known_belongs_to_the_highest() -> None:
    """Versions are compared as numbers; one that is no number comes before all that are."""
    failed = ModelStatistics("m", "", inference_stats=InferStatistics(fail=Duration(4, 40)))
    counted = Counted([failed, part("9"), part("10"), part("beta")])

    fails = {found.version: found.inference_stats.fail.count for found in counted.report("m", [])}
    early = Counted([failed]).report("m", [])

    assert fails == {"9": 0, "10": 4, "beta": 0}
    assert [found.inference_stats.fail.count for found in early] == [4]
