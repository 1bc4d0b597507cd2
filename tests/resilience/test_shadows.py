"""Shadows: what follows an answer, bounded, and gone when the process is."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from resilience.settings import ShadowSettings
from resilience.shadows import AFTER_S, Errand, ShadowQueue, Shadows
from tests.fakes.virtual_time import virtual_loop, virtual_time

TRACE: ContextVar[str] = ContextVar("trace", default="none")


class Work:
    """Errands, each a second long, and what became of them."""

    def __init__(self) -> None:
        self.began: list[tuple[str, float]] = []
        self.ended: list[str] = []
        self.dropped: list[str] = []
        self.traces: list[str] = []
        self.most = self.running = 0

    def errand(self, name: str, size: int = 1) -> Errand:
        return Errand(size, lambda: self._run(name), lambda: self.dropped.append(name))

    async def _run(self, name: str) -> None:
        self.began.append((name, asyncio.get_running_loop().time()))
        self.traces.append(TRACE.get())
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(1)
            if name == "bug":
                raise ZeroDivisionError
        finally:
            self.running -= 1
        self.ended.append(name)


def queue_of(shadows: Shadows, in_flight: int = 2, waiting: int = 3) -> ShadowQueue:
    return shadows.queue(max_in_flight=in_flight, max_waiting=waiting)


@virtual_time
async def test_nothing_begins_before_the_answer_is_on_its_way() -> None:
    """Each waits a moment of its own, also behind one that has waited already."""
    work, queue = Work(), queue_of(Shadows(ShadowSettings()))
    start = asyncio.get_running_loop().time()

    queue.put(work.errand("first"))
    await asyncio.sleep(AFTER_S * 0.6)
    queue.put(work.errand("second"))
    assert work.began == []
    await asyncio.sleep(2)

    assert work.began == [
        ("first", pytest.approx(start + AFTER_S)),
        ("second", pytest.approx(start + 1.6 * AFTER_S)),
    ]


@virtual_time
async def test_one_that_ends_does_not_hurry_the_next() -> None:
    """A place that is free is taken by one whose moment has passed, or when it has."""
    work, queue = Work(), queue_of(Shadows(ShadowSettings()), in_flight=1)
    queue.put(work.errand("first"))
    await asyncio.sleep(1)
    queue.put(work.errand("second"))
    put = asyncio.get_running_loop().time()
    await asyncio.sleep(3)

    (_, second) = work.began[1]
    assert second >= put + AFTER_S - 0.001
    assert work.ended == ["first", "second"]


@virtual_time
async def test_few_run_some_wait_and_the_rest_is_dropped() -> None:
    """First come, first served; who finds no room knows at once."""
    work, queue = Work(), queue_of(Shadows(ShadowSettings()))

    for number in range(7):
        queue.put(work.errand(str(number)))
    assert work.dropped == ["5", "6"]
    await asyncio.sleep(0.5)
    assert repr(queue) == "<ShadowQueue 2 of 2 running, 3 waiting>"
    await asyncio.sleep(5)

    assert work.ended == ["0", "1", "2", "3", "4"]
    assert work.most == 2
    assert queue.is_empty


@virtual_time
async def test_all_queues_share_the_room_of_the_process() -> None:
    """In number and in bytes; what has ended makes room again."""
    shadows, work = Shadows(ShadowSettings(max_requests=3, max_mib=1)), Work()
    one, other = queue_of(shadows), queue_of(shadows)

    one.put(work.errand("a", 1 << 19))
    other.put(work.errand("too large", (1 << 19) + 1))
    other.put(work.errand("b", 1 << 19))
    other.put(work.errand("no byte left", 1))
    one.put(work.errand("c", 0))
    other.put(work.errand("too many", 0))
    assert work.dropped == ["too large", "no byte left", "too many"]
    assert repr(shadows) == "<Shadows 3 of 3, 1048576 of 1048576 bytes>"
    await asyncio.sleep(2)

    other.put(work.errand("d", 1 << 20))
    await asyncio.sleep(2)
    assert sorted(work.ended) == ["a", "b", "c", "d"]
    assert repr(shadows) == "<Shadows 0 of 3, 0 of 1048576 bytes>"


@pytest.mark.parametrize("after_s", [0.0, AFTER_S, 0.5], ids=["at once", "as it begins", "while it runs"])
def test_the_process_leaves(after_s: float) -> None:
    """What runs is cancelled, what waits is dropped, nothing is left behind, and nothing more is taken."""

    @virtual_time
    async def leave() -> None:
        shadows, work = Shadows(ShadowSettings()), Work()
        queues = [queue_of(shadows), queue_of(shadows)]
        for number in range(8):
            queues[number % 2].put(work.errand(str(number)))
        await asyncio.sleep(after_s)

        await shadows.aclose()
        queues[0].put(work.errand("late"))

        assert sorted(work.dropped) == [*map(str, range(8)), "late"]
        assert work.ended == []
        assert work.running == 0
        assert repr(shadows).startswith("<Shadows 0 of")
        assert virtual_loop().armed == []
        await shadows.aclose()

    leave()


@virtual_time
async def test_a_bug_is_reported_and_the_next_goes_on() -> None:
    """It counts as dropped, and takes no place for good."""
    work, queue = Work(), queue_of(Shadows(ShadowSettings()), in_flight=1)
    reports: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context["message"]))

    queue.put(work.errand("bug"))
    queue.put(work.errand("next"))
    await asyncio.sleep(3)

    assert reports == ["what follows an answer failed"]
    assert (work.dropped, work.ended) == (["bug"], ["next"])


@virtual_time
async def test_the_trace_of_the_caller_ends_with_its_answer() -> None:
    """What follows is in nobody's context, the first and those that wait for it."""
    work, queue = Work(), queue_of(Shadows(ShadowSettings()), in_flight=1)
    TRACE.set("the caller's")

    queue.put(work.errand("first"))
    queue.put(work.errand("second"))
    await asyncio.sleep(3)

    assert work.traces == ["none", "none"]


@virtual_time
async def test_no_room_at_all() -> None:
    """An operator may turn every shadow off by the settings."""
    work = Work()

    queue_of(Shadows(ShadowSettings(max_requests=0))).put(work.errand("none"))

    assert work.dropped == ["none"]
