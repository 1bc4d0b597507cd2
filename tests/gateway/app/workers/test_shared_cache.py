"""The caches of several workers."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.admin.cache_routes import cache_routes
from gateway.admin.listener import AdminListener
from gateway.app.workers.shared_cache import SharedCache
from gateway.core.cache_inspection import CacheQuestion, Inspection, LevelFinding
from gateway.core.cache_report import CacheReport, LevelReport, answers_report, most
from gateway.core.errors import Fault, GatewayError
from tests.fakes.operator import nothing


class Worker:
    """Has answered ``answers`` requests of each of many models, and holds ``state``."""

    def __init__(self, answers: int, state: str = "fresh") -> None:
        self.answers, self.state = answers, state

    async def report(self, top: int) -> CacheReport:
        rows = [answers_report(f"m{number}", "acme", {"l1": self.answers}) for number in range(50)]
        return CacheReport(
            enabled=True,
            answers={"l1": 50 * self.answers},
            levels=(LevelReport("l1", lookups={"hit": self.answers}, entries=1, bytes=2, max_bytes=3),),
            top=most(rows, top),
        )

    async def inspect(self, question: CacheQuestion) -> Inspection:
        if not question.key:
            raise GatewayError(Fault.INVALID, "name a key")
        levels = (LevelFinding("l1", self.state), LevelFinding("l2", "fresh"))
        return Inspection(key=question.key, levels=levels)


async def start(folder: Path, lifetimes: AsyncExitStack, *workers: Worker) -> SharedCache:
    sockets: dict[int, Path] = {}
    for serial, worker in enumerate(workers, 1):
        listener = AdminListener(health=nothing, metrics=nothing, policy=nothing, more=cache_routes(worker))
        sockets[serial] = folder / str(serial)
        await listener.start_at(str(sockets[serial]))
        lifetimes.push_async_callback(listener.aclose)
    sockets[99] = folder / "gone"
    return SharedCache(lambda: sockets)


async def test_reports_are_added_up(tmp_path: Path) -> None:
    """Of all that answer, and what each has a little of comes first where it is the most together."""
    async with AsyncExitStack() as lifetimes:
        shared = await start(tmp_path, lifetimes, Worker(3), Worker(4))
        report = await shared.report(20)

    assert (report.processes, report.answers, report.hit_ratio) == (2, {"l1": 350}, 1.0)
    [level] = report.levels
    assert (level.entries, level.bytes, level.max_bytes) == (2, 4, 6)
    assert [row.answers for row in report.top] == [7] * 20
    assert repr(shared) == "<SharedCache of 3 workers>"


async def test_every_memory_is_looked_into(tmp_path: Path) -> None:
    """And what they share once."""
    async with AsyncExitStack() as lifetimes:
        shared = await start(tmp_path, lifetimes, Worker(1), Worker(1, "absent"))
        found = await shared.inspect(CacheQuestion(key="ab" * 32))

    assert found.key == "ab" * 32
    assert [(level.level, level.state, level.worker) for level in found.levels] == [
        ("l1", "fresh", 1),
        ("l1", "absent", 2),
        ("l2", "fresh", None),
    ]


async def test_what_workers_refuse_the_operator_hears(tmp_path: Path) -> None:
    """As they say it."""
    async with AsyncExitStack() as lifetimes:
        shared = await start(tmp_path, lifetimes, Worker(1))
        with pytest.raises(GatewayError, match="name a key") as refused:
            await shared.inspect(CacheQuestion())

    assert refused.value.fault is Fault.INVALID


async def test_where_none_answers(tmp_path: Path) -> None:
    """A report of nothing; a question cannot be answered."""
    async with AsyncExitStack() as lifetimes:
        shared = await start(tmp_path, lifetimes)
        report = await shared.report(10)
        with pytest.raises(GatewayError, match="no worker answers"):
            await shared.inspect(CacheQuestion(key="ab" * 32))

    assert (report.processes, report.enabled) == (0, False)
