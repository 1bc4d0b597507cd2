"""Statistics from what was counted."""

from __future__ import annotations

from gateway.core.telemetry import BatchRan, RequestFinished
from gateway.telemetry.requests import Requests
from gateway.telemetry.runs import Runs
from gateway.telemetry.statistics import Tallies


class Found(Tallies):
    """Tallies and the counts of requests that they read, fed together."""

    def __init__(self, **changes) -> None:
        self.requests, self.runs = Requests(lambda: 12.5), Runs()
        super().__init__(self.requests, self.runs, **changes)

    def report(self, model, versions, tenant=""):
        return self.read(tenant).report(model, versions)

    def models(self):
        return self.read().models()

    def emit(self, event) -> None:
        if isinstance(event, RequestFinished):
            self.requests.finished(event)
        else:
            self.runs.ran(event)


tallies = Found


def finished(provenance="edge", code="ok", seconds=0.25, version="1", model="m", tenant="acme", rows=1):
    return RequestFinished(model, provenance, code, seconds, version, tenant, rows)


def test_answers_hits_and_misses():
    """Every answer is a success; one from a cache is a hit, another of a cached model a miss."""
    found = tallies(is_cached=lambda model: model == "m")

    for provenance in ("edge", "l1", "l2", "stale"):
        found.emit(finished(provenance))

    (report,) = found.report("m", ["1"])
    stats = report.inference_stats
    assert (stats.success.count, stats.success.ns) == (4, 1_000_000_000)
    assert (stats.cache_hit.count, stats.cache_hit.ns, stats.cache_miss.count) == (3, 750_000_000, 1)
    assert (report.inference_count, report.last_inference) == (0, 12_500)


def test_requests_are_counted_as_triton_does():
    """Each was asked once: it waited once, a hit too, and was computed once unless it was a hit."""
    found = tallies(remote={"central"}, is_cached=lambda _: True)
    found.emit(finished("edge"))
    found.emit(finished("l1"))
    # Both tiers run for what is deferred.
    found.emit(finished("central", seconds=0.5, rows=4))
    for _ in range(2):
        found.emit(BatchRan("m", 1, 1, 0.0, 0.125, "1"))

    (report,) = found.report("m", ["1"])
    stats = report.inference_stats
    assert (stats.success.count, stats.queue.count) == (3, 3)
    for duration in (stats.compute_input, stats.compute_infer, stats.compute_output):
        assert duration.count == 2
    assert stats.compute_infer.ns == 750_000_000
    assert (stats.cache_hit.count, stats.cache_miss.count) == (1, 2)
    assert (report.inference_count, report.execution_count) == (5, 3)
    assert [(batch.batch_size, batch.compute_infer.count) for batch in report.batch_stats] == [(1, 3)]


def test_one_tenants_requests():
    """Nothing of the others': no run, which may have been theirs, either."""
    found = tallies(remote={"central"}, is_cached=lambda _: True)
    for tenant, provenance, code in (
        ("acme", "edge", "ok"),
        ("acme", "l1", "ok"),
        ("acme", "none", "deadline"),
        ("umbrella", "edge", "ok"),
        ("umbrella", "central", "ok"),
        ("", "none", "overloaded"),
    ):
        found.emit(finished(provenance, code, tenant=tenant))
    found.emit(BatchRan("m", 3, 3, 0.0, 1.0, "1"))

    (report,) = found.report("m", ["1"], "acme")
    stats = report.inference_stats
    assert (stats.success.count, stats.fail.count, stats.cache_hit.count, stats.queue.count) == (2, 1, 1, 2)
    assert (stats.compute_infer.count, stats.compute_infer.ns) == (1, 250_000_000)
    assert (report.inference_count, report.execution_count) == (1, 1)
    assert found.report("m", ["1"])[0].inference_stats.success.count == 4
    assert found.tenants() == {"acme", "umbrella"}
    assert tallies().tenants() == set()


def test_batches():
    """A run counts its rows once and its time for each of its requests."""
    found = tallies()

    for _ in range(2):
        found.emit(BatchRan("m", 8, 4, 0.5, 1.0, "2", queued_s=1.5, input_s=0.25, output_s=0.25))
    found.emit(BatchRan("m", 2, 1, 0.0, 1.0, "2"))
    for _ in range(9):
        found.emit(finished(version="2"))

    (report,) = found.report("m", [])
    stats = report.inference_stats
    assert (report.version, report.inference_count, report.execution_count) == ("2", 18, 3)
    assert (stats.queue.count, stats.queue.ns) == (9, 3_000_000_000)
    assert (stats.compute_infer.count, stats.compute_infer.ns) == (9, 5_000_000_000)
    assert (stats.compute_input.ns, stats.compute_output.ns) == (2_000_000_000, 2_000_000_000)
    assert [(batch.batch_size, batch.compute_infer.count) for batch in report.batch_stats] == [(2, 1), (8, 2)]


def test_answers_of_other_processes_are_runs():
    """What was computed elsewhere took its model as long as the request took."""
    found = tallies(remote={"central"})

    found.emit(finished("central"))

    (report,) = found.report("m", ["1"])
    assert (report.execution_count, report.inference_stats.compute_infer.ns) == (1, 250_000_000)


def test_failures():
    """A failure before the version was known belongs to the highest; a stranger's word to nobody."""
    found = tallies()

    found.emit(finished())
    found.emit(finished("none", "deadline", version=""))
    found.emit(finished("none", "not_found", version="", model="guess"))

    first, second = found.report("m", ["1", "2"])
    assert (first.inference_stats.fail.count, second.inference_stats.fail.count) == (0, 1)
    assert found.models() == ["m"]
    assert found.report("guess", ["1"])[0].inference_stats.fail.count == 0


def test_before_anything_happened():
    """There are zeros for a model that is asked for, and no model by itself."""
    found = tallies()

    assert found.models() == []
    assert found.report("m", ["1"])[0].execution_count == 0
    assert repr(found).startswith("<Tallies of <Requests 0 kinds")
