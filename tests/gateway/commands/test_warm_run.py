"""Sending recorded requests at a bounded rate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import msgspec
import pytest

from gateway.commands.warm_log import RecordedLine, RecordedRequest
from gateway.commands.warm_run import FAILED, FILLED, HIT, MOST_PROBLEMS, Progress, Sent, WarmRun
from tests.fakes.virtual_time import virtual_time


def lines(count: int, first: int = 1) -> list[RecordedLine]:
    """Lines whose model is their number."""
    return [
        RecordedLine(number, RecordedRequest(str(number), msgspec.Raw(b"{}")))
        for number in range(first, first + count)
    ]


class Gateway:
    """Answers after ``takes_s`` seconds; ``of`` says what becomes of a line."""

    def __init__(self, takes_s: float = 0.0, of: Callable[[int], Sent] = lambda _line: Sent(HIT)) -> None:
        self.takes_s, self.of = takes_s, of
        self.began: list[tuple[int, float]] = []
        self.under_way = self.most = 0

    async def __call__(self, recorded: RecordedRequest) -> Sent:
        number = int(recorded.model)
        self.began.append((number, asyncio.get_running_loop().time()))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            self.under_way -= 1
        return self.of(number)


@virtual_time
async def test_the_rate_is_a_bound() -> None:
    """Ten a second and no burst, neither at the start nor after a slow answer."""
    gateway = Gateway()

    progress = await WarmRun(gateway, rate=10, concurrency=4).run(lines(20))

    times = [time for _, time in gateway.began]
    assert min(b - a for a, b in pairwise(times)) >= 0.1 - 1e-9
    assert times[-1] - times[0] == pytest.approx(1.9)
    assert (progress.counts[HIT], progress.done, progress.stopped) == (20, 20, "")


@virtual_time
async def test_so_many_at_once_and_no_more() -> None:
    """Whatever the rate: a gateway that is slow is not buried. What was late is not made up for."""
    gateway = Gateway(takes_s=1.0)

    await WarmRun(gateway, rate=1000, concurrency=3).run(lines(9))

    assert gateway.most == 3
    assert gateway.began[-1][1] - gateway.began[0][1] == pytest.approx(2.0, abs=0.1)


@virtual_time
async def test_no_more_of_the_log_is_read_than_is_under_way() -> None:
    """A log may be larger than memory."""
    gateway, read = Gateway(takes_s=1.0), list[int]()

    def noted():
        for line in lines(100):
            read.append(line.number)
            yield line

    run = WarmRun(gateway, rate=1e6, concurrency=2)
    running = asyncio.create_task(run.run(noted()))
    await asyncio.sleep(0.5)
    assert read == [1, 2, 3]
    assert repr(run) == "<WarmRun 0 lines done, 2 under way>"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@virtual_time
async def test_it_stops_when_the_gateway_pushes_back() -> None:
    """Nothing new is begun, what is under way is counted, and the line that met it is the next to be sent."""
    gateway = Gateway(
        takes_s=0.05, of=lambda line: Sent(FAILED, "503 full", True) if line == 5 else Sent(FILLED)
    )

    progress = await WarmRun(gateway, rate=100, concurrency=4).run(lines(1000))

    assert progress.stopped == "503 full"
    assert progress.done == 4
    assert progress.counts[FAILED] == 0
    assert len(gateway.began) <= 5 + 4

    again = Gateway()
    more = await WarmRun(again, rate=100, concurrency=4, first=5).run(lines(6, first=5))
    assert (again.began[0][0], more.done) == (5, 10)


@virtual_time
async def test_a_push_back_stops_who_waits_for_its_turn() -> None:
    """Also between two turns that are far apart."""
    gateway = Gateway(takes_s=1.0, of=lambda _line: Sent(FAILED, "429", True))

    progress = await WarmRun(gateway, rate=0.1, concurrency=4).run(lines(9))

    assert (len(gateway.began), progress.done) == (1, 0)


@virtual_time
async def test_lines_end_in_another_order_than_they_begin() -> None:
    """Only what has no gap before it is done."""
    done: list[int] = []
    gateway = Gateway()

    async def send(recorded: RecordedRequest) -> Sent:
        gateway.takes_s = 5.0 if recorded.model == "1" else 0.1
        return await gateway(recorded)

    run = WarmRun(send, rate=1000, concurrency=2, report=lambda progress: done.append(progress.done))
    await run.run(lines(4))

    assert done == [0, 0, 0, 4]


@virtual_time
async def test_bad_lines_are_told_and_passed_over() -> None:
    """A few by their number; all are counted."""
    bad = [RecordedLine(number, problem="no model") for number in range(1, 9)]
    progress = await WarmRun(Gateway(), rate=100, concurrency=1).run([*bad, *lines(2, first=9)])

    assert (progress.counts[FAILED], progress.counts[HIT], progress.done) == (8, 2, 10)
    assert progress.problems == [f"line {number}: no model" for number in range(1, MOST_PROBLEMS + 1)]


@virtual_time
async def test_an_empty_log() -> None:
    assert (await WarmRun(Gateway(), rate=1, concurrency=1).run([])) == Progress()
