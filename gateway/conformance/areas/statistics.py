"""Area `statistics`: what perf_analyzer and dashboards read of a model."""

from __future__ import annotations

from typing import Any, Final

from gateway.conformance.areas.model import newest
from gateway.conformance.call import model_path
from gateway.conformance.check import Area
from gateway.conformance.clauses import STATISTICS
from gateway.conformance.expect import offered, refused, text, whole
from gateway.conformance.faults import NO_SUCH_MODEL
from gateway.conformance.server_under_test import ServerUnderTest
from gateway.conformance.verdicts import Violation, require

AREA = Area("statistics")
EXTENSION: Final = "statistics"
DURATIONS: Final = (
    "success",
    "fail",
    "queue",
    "compute_input",
    "compute_infer",
    "compute_output",
    "cache_hit",
    "cache_miss",
)
REQUESTS: Final = 3


def entries(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the list `model_stats`."""
    listed = body.get("model_stats")
    require(isinstance(listed, list) and listed, "'model_stats' is no list with entries")
    for entry in listed or ():
        require(isinstance(entry, dict), "an entry of 'model_stats' is no object")
    return list(listed or ())


def _of_model(tested: ServerUnderTest, version: str = "") -> dict[str, Any]:
    answer = offered(tested.get(model_path(tested.model.name, version, "stats")))
    for entry in entries(answer.object()):
        if entry.get("name") == tested.model.name:
            return entry
    raise Violation("the model is not in its own statistics")


@AREA.check("model", "a model's statistics have its name and a version", STATISTICS, extension=EXTENSION)
def of_model(tested: ServerUnderTest) -> None:
    """The version is a text."""
    entry = _of_model(tested)
    require(text(entry, "version"), "'version' is empty")


@AREA.check("all", "statistics of all models", STATISTICS, extension=EXTENSION)
def of_all(tested: ServerUnderTest) -> None:
    """The model is among them."""
    answer = offered(tested.get("/v2/models/stats"))
    names = [entry.get("name") for entry in entries(answer.object())]
    require(tested.model.name in names, f"the model is not among {names[:5]}")


@AREA.check("versioned", "statistics of a version by its path", STATISTICS, extension=EXTENSION)
def versioned(tested: ServerUnderTest) -> None:
    """The longer path gives that version."""
    version = newest(tested)
    require(_of_model(tested, version).get("version") == version, "'version' is not the one asked for")


@AREA.check("counts", "the counters are whole numbers", STATISTICS, extension=EXTENSION)
def counts(tested: ServerUnderTest) -> None:
    """Milliseconds of the last inference, and two counts."""
    tested.infer(tested.model.call())
    entry = _of_model(tested)
    for key in ("inference_count", "execution_count"):
        whole(entry, key)
    require(whole(entry, "last_inference") > 1_000_000_000_000, "'last_inference' is no time in milliseconds")


@AREA.check("durations", "every duration has count and ns", STATISTICS, extension=EXTENSION)
def durations(tested: ServerUnderTest) -> None:
    """perf_analyzer reads all of them, and fails where one is missing."""
    stats = _of_model(tested).get("inference_stats")
    require(isinstance(stats, dict), "'inference_stats' is no object")
    for name in DURATIONS:
        pair = (stats or {}).get(name)
        require(isinstance(pair, dict), f"'{name}' is missing")
        whole(pair, "count")
        whole(pair, "ns")


@AREA.check("batches", "batch_stats is a list of sizes with durations", STATISTICS, extension=EXTENSION)
def batches(tested: ServerUnderTest) -> None:
    """One entry for each batch size that was run."""
    listed = _of_model(tested).get("batch_stats")
    require(isinstance(listed, list), "'batch_stats' is no list")
    for entry in listed or ():
        whole(entry, "batch_size")
        for name in ("compute_input", "compute_infer", "compute_output"):
            pair = entry.get(name)
            whole(pair, "count")
            whole(pair, "ns")


@AREA.check("success-counts", "each answer is counted once", STATISTICS, extension=EXTENSION)
def success_counts(tested: ServerUnderTest) -> None:
    """Cache hits included; nobody else may use the model meanwhile."""
    before = _success(tested)
    for seed in range(REQUESTS):
        tested.infer(tested.model.call(seed=1000 + seed))
    after = _success(tested)
    require(after - before == REQUESTS, f"{REQUESTS} answers were counted as {after - before}")


def _success(tested: ServerUnderTest) -> int:
    stats = _of_model(tested).get("inference_stats")
    require(isinstance(stats, dict), "'inference_stats' is no object")
    return whole((stats or {}).get("success"), "count")


@AREA.check("unknown", "statistics of an unknown model are refused", STATISTICS, extension=EXTENSION)
def unknown(tested: ServerUnderTest) -> None:
    """With the error object."""
    _of_model(tested)
    refused(tested.get(model_path(NO_SUCH_MODEL, verb="stats")))
