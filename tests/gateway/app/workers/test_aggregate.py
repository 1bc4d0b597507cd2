"""The admin port of several workers."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin.listener import AdminListener
from gateway.admin.stack_routes import stack_routes
from gateway.app.workers.aggregate import AggregateAdmin, merge


def exposition(requests: float, model: str = "digits") -> bytes:
    registry = CollectorRegistry()
    Counter("requests", "Requests.", ["model"], registry=registry).labels(model).inc(requests)
    Gauge("depth", "Depth.", registry=registry).set(3)
    Histogram("seconds", "Seconds.", buckets=(1,), registry=registry).observe(0.5)
    return generate_latest(registry)


def series(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_every_series_says_whose_it_is() -> None:
    """With labels or without; HELP and TYPE stand once, before all series of their metric."""
    merged = merge([(0, exposition(5)), (1, exposition(7))])

    found = series(merged)
    assert found["requests_total", (("model", "digits"), ("worker", "0"))] == 5
    assert found["requests_total", (("model", "digits"), ("worker", "1"))] == 7
    assert found["depth", (("worker", "1"),)] == 3
    assert found["seconds_bucket", (("le", "1.0"), ("worker", "0"))] == 1
    lines = merged.decode().splitlines()
    assert lines.count("# HELP requests_total Requests.") == 1
    assert lines.count("# TYPE requests_total counter") == 1
    assert lines.index("# TYPE depth gauge") == lines.index("# HELP depth Depth.") + 1


@given(st.text(max_size=30))
def test_nothing_of_a_label_is_lost(model: str) -> None:
    """Quotes, braces, line ends of other alphabets: each worker's series come back with one label more."""
    text = exposition(2, model)

    expected = {
        (name, tuple(sorted((*labels, ("worker", "4"))))): value
        for (name, labels), value in series(text).items()
    }
    assert series(merge([(4, text)])) == expected


def test_metric_that_only_one_worker_has() -> None:
    """It is there, with its HELP."""
    more = b"# HELP other Other.\n# TYPE other gauge\nother 1\n"

    assert b'# HELP other Other.\n# TYPE other gauge\nother{worker="1"} 1\n' in merge(
        [(0, exposition(1)), (1, more)]
    )


@pytest.fixture
async def workers(tmp_path: Path):
    """Two workers that report on UNIX sockets, and one that does not."""

    def policy(number: int) -> dict[str, Any]:
        return {"generation": number + 5, "file": "policy.yaml", "error": ""}

    async with AsyncExitStack() as lifetimes:
        made = []
        for number in (1, 0):

            async def health(number: int = number) -> dict[str, Any]:
                # Not ready, and yet it has something to report.
                known = {"central": {"state": "open", "reason": "refused"}}
                report = {"ready": False, "certificates": {"digits": {"valid": True}}}
                return {**report, **({"endpoints": known} if number else {})}

            async def metrics(number: int = number) -> bytes:
                return exposition(number + 1)

            async def report(number: int = number) -> dict[str, Any]:
                return policy(number)

            async def stacks(number: int = number) -> dict[str, Any]:
                return {"generation": number + 5, "routes": {f"of worker {number}": []}}

            listener = AdminListener(health=health, metrics=metrics, policy=report, more=stack_routes(stacks))
            lifetimes.push_async_callback(listener.aclose)
            await listener.start_at(str(tmp_path / f"{number}.sock"))
            made.append((number, tmp_path / f"{number}.sock"))
        yield [*made, (2, tmp_path / "absent.sock")]


async def test_workers_are_queried(workers) -> None:
    """One that does not answer is left out; the rest is there."""
    admin = AggregateAdmin(lambda: workers)
    assert repr(admin) == "<AggregateAdmin of 3 workers>"

    found = series(await admin.metrics())
    assert {dict(labels)["worker"] for _, labels in found} == {"0", "1"}
    assert await admin.policy() == {
        "generation": 5,
        "file": "policy.yaml",
        "error": "",
        "workers": {"0": 5, "1": 6},
    }


async def test_stacks_are_those_of_the_first_worker(workers) -> None:
    """All build the same of one policy; the generations show who has not taken it yet."""
    report = await AggregateAdmin(lambda: workers).stack()

    assert report == {"generation": 5, "routes": {"of worker 0": []}, "workers": {"0": 5, "1": 6}}


async def test_health_is_reported_by_worker(workers) -> None:
    """What one knows of central another may not have seen yet."""
    reports = await AggregateAdmin(lambda: workers).health()

    held = {"digits": {"valid": True}}
    assert {number: each["certificates"] for number, each in reports.items()} == {0: held, 1: held}
    known = {"central": {"state": "open", "reason": "refused"}}
    assert {number: each.get("endpoints") for number, each in reports.items()} == {0: None, 1: known}


async def test_no_worker_answers() -> None:
    """There is nothing to report, and the policy report says why."""
    admin = AggregateAdmin(list)

    assert await admin.metrics() == b""
    assert await admin.health() == {}
    assert (await admin.policy())["error"] == "no worker answers"
