"""The limit that arms its timer only when something waits, held against asyncio.timeout_at."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from resilience.timer import ElapsedError, TimeLimits
from tests.fakes.virtual_time import VirtualLoop, virtual_loop, virtual_time

Step = tuple[str, int]
Log = list[tuple[str, float]]
MARK: ContextVar[str] = ContextVar("mark", default="")


async def lean(script: Callable[[], Any], deadline: float) -> Any:
    """The way in which Deadline and AttemptTimeout set their limits."""
    call = script()
    try:
        waits_for = call.send(None)
    except StopIteration as ended:
        return ended.value
    return await TimeLimits().finish(call, waits_for, deadline)


async def plain(script: Callable[[], Any], deadline: float) -> Any:
    """The same limit, told in the standard library's words."""
    scope = asyncio.timeout_at(deadline)
    try:
        async with scope:
            return await script()
    except TimeoutError as error:
        if scope.expired():
            raise ElapsedError from error
        raise


async def play(steps: list[Step], log: Log) -> str:
    """Do what ``steps`` say, and write down when each was done."""
    loop = asyncio.get_running_loop()
    MARK.set("set inside")
    try:
        for word, seconds in steps:
            match word:
                case "sleep":
                    await asyncio.sleep(seconds)
                case "swallow":
                    try:
                        await asyncio.sleep(seconds)
                    except asyncio.CancelledError:
                        log.append(("swallowed", loop.time()))
                case "translate":
                    try:
                        await asyncio.sleep(seconds)
                    except asyncio.CancelledError as error:
                        raise LookupError from error
                case "nest":
                    try:
                        async with asyncio.timeout(seconds):
                            await asyncio.sleep(2)
                    except TimeoutError:
                        log.append(("inner timeout", loop.time()))
                case "task":
                    await asyncio.create_task(asyncio.sleep(seconds))
                case "timeout":
                    raise TimeoutError("not the limit's")
                case "fail":
                    raise ValueError("failed")
            log.append((word, loop.time()))
    finally:
        log.append(("left", loop.time()))
    return "answer"


def observe(
    limited: Callable[[Callable[[], Any], float], Awaitable[Any]],
    steps: list[Step],
    limit: float,
    leaves: int | None,
) -> tuple[Any, ...]:
    """Run ``steps`` under a limit, the caller leaving at ``leaves``; return all that can be seen of it."""
    log: Log = []

    async def caller() -> str:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        try:
            outcome = str(await limited(lambda: play(steps, log), loop.time() + limit))
        except (ValueError, LookupError, ElapsedError, TimeoutError, asyncio.CancelledError) as error:
            outcome = type(error).__name__
        log.append((f"{outcome}, {task.cancelling()} cancels, {MARK.get()}", loop.time()))
        return outcome

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(caller())
        if leaves is not None:
            loop.call_at(loop.time() + leaves, task.cancel)
        (result,) = await asyncio.gather(task, return_exceptions=True)
        return repr(result)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main()), log


words = st.sampled_from(["sleep", "swallow", "translate", "nest", "task", "timeout", "fail"])
scripts = st.lists(st.tuples(words, st.integers(0, 3)), max_size=4)


@settings(max_examples=300)
@given(scripts, st.integers(-1, 4), st.none() | st.integers(0, 4))
def test_it_behaves_as_timeout_at(steps: list[Step], limit: int, leaves: int | None) -> None:
    """Outcome, time, context, cancellation count and the order of events are those of timeout_at."""
    # A limit inside of the call must not pass in the same turn: that is another test's.
    limit_s = abs(limit) + 0.5 if any(word == "nest" for word, _ in steps) else limit
    assert observe(lean, steps, limit_s, leaves) == observe(plain, steps, limit_s, leaves)


@virtual_time
async def test_two_limits_that_pass_together() -> None:
    """The inner one is heard first; the outer one is not lost, whatever the call does then."""
    loop = asyncio.get_running_loop()
    log: Log = []

    with pytest.raises(ElapsedError):
        await lean(lambda: play([("nest", 1), ("sleep", 0), ("sleep", 5)], log), loop.time() + 1)

    assert log == [("inner timeout", 1001.0), ("nest", 1001.0), ("left", 1001.0)]


@virtual_time
async def test_an_answer_without_a_wait_arms_no_timer() -> None:
    """A call that never suspends is answered even past its limit, as under timeout_at."""
    loop = asyncio.get_running_loop()

    outcome = await lean(lambda: play([], []), loop.time() - 1)

    assert outcome == "answer"


@virtual_time
async def test_a_call_that_is_closed_lets_go() -> None:
    """Closing the outer coroutine reaches the call: its cleanup runs, and nothing is left suspended."""
    log: Log = []
    outer = lean(lambda: play([("sleep", 3)], log), asyncio.get_running_loop().time() + 1)
    outer.send(None)

    outer.close()

    assert log == [("left", 1000.0)]


@virtual_time
async def test_the_elapsed_error_remembers_where_the_call_was() -> None:
    """The cause chain leads to the line that waited, for whoever reads the log."""
    with pytest.raises(ElapsedError) as caught:
        await lean(lambda: play([("sleep", 3)], []), asyncio.get_running_loop().time() + 1)

    cancelled = caught.value.__cause__
    assert isinstance(cancelled, asyncio.CancelledError)


@virtual_time
async def test_many_limits_have_one_timer() -> None:
    """However many are armed, and in whatever order they pass; each passes at its own time."""
    loop, limits = asyncio.get_running_loop(), TimeLimits()
    began = loop.time()

    async def cut_after(seconds: float) -> float:
        call = play([("sleep", 3600)], [])
        with pytest.raises(ElapsedError):
            await limits.finish(call, call.send(None), began + seconds)
        return loop.time() - began

    calls = [asyncio.create_task(cut_after(seconds)) for seconds in (3, 1, 2, 1, 0.0015)]
    await asyncio.sleep(0)

    assert repr(limits) == "<TimeLimits 5 armed, 4 ticks>"
    assert len(virtual_loop().armed) == len(calls) + 1
    assert await asyncio.gather(*calls) == pytest.approx([3, 1, 2, 1, 0.002])
    assert repr(limits) == "<TimeLimits 0 armed, 0 ticks>"


@virtual_time
async def test_calls_in_time_leave_next_to_nothing() -> None:
    """Limits that were never reached are not kept until they would have been, however many there were."""
    loop, limits = asyncio.get_running_loop(), TimeLimits()

    for number in range(1000):
        call = play([("sleep", 0.002)], [])
        await limits.finish(call, call.send(None), loop.time() + 60 + number % 7)

    assert limits.tick_count <= 70


@virtual_time
async def test_a_call_in_time_is_let_go() -> None:
    """Nothing of it is kept until its limit, and the timer that is left then finds nothing."""
    loop, limits = asyncio.get_running_loop(), TimeLimits()
    call = play([("sleep", 1)], [])

    answer = await limits.finish(call, call.send(None), loop.time() + 5)

    assert answer == "answer"
    assert repr(limits) == "<TimeLimits 0 armed, 1 ticks>"
    await asyncio.sleep(10)
    assert virtual_loop().armed == []


def test_it_works_on_the_loop_that_serves() -> None:
    """On uvloop, which has its own futures, tasks and timers, a wait is cut off and an answer is not."""

    async def main() -> None:
        deadline = asyncio.get_running_loop().time() + 0.001
        with pytest.raises(ElapsedError):
            await lean(lambda: play([("sleep", 3600)], []), deadline)
        assert await lean(lambda: play([("sleep", 0), ("task", 0)], []), deadline + 60) == "answer"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


class _Passed:
    def __init__(self) -> None:
        self.has_passed = False

    def pass_(self) -> None:
        self.has_passed = True


@virtual_time
async def test_the_timer_is_set_once_for_each_tick() -> None:
    """Also where the time of a tick is not exactly what the loop's clock shows then."""
    loop, limits, passes = asyncio.get_running_loop(), TimeLimits(), [_Passed() for _ in range(300)]
    set_timer, times = loop.call_at, 0

    def call_at(*args: Any, **more: Any) -> asyncio.TimerHandle:
        nonlocal times
        times += 1
        # One that is set again and again would stop this clock.
        assert times < 1000
        return set_timer(*args, **more)

    loop.call_at = call_at
    for number, each in enumerate(passes, 1):
        limits.arm(each, loop.time() + number / 1000)
    await asyncio.sleep(0.5)

    assert all(each.has_passed for each in passes)
    assert times <= 302
    assert limits.tick_count == 0


@virtual_time
async def test_what_is_disarmed_does_not_pass() -> None:
    """Nor does it once its time has come."""
    limits, passed, stays = TimeLimits(), _Passed(), _Passed()
    now = asyncio.get_running_loop().time()
    tick = limits.arm(passed, now + 0.01)
    limits.arm(stays, now + 0.01)
    limits.disarm(passed, tick)

    await asyncio.sleep(0.02)

    assert (passed.has_passed, stays.has_passed) == (False, True)
    limits.disarm(stays, tick)
