"""The worker processes of a gateway: replaced when they die, or when an operator wants it."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.app.errors import StartError
from gateway.app.workers import worker
from gateway.app.workers.standstill import look_at
from gateway.app.workers.supervisor import Workers
from tests.gateway.app.workers.play import SETTINGS, Play, is_alive, processes, until


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """A supervisor whose pauses are short."""
    return Play(tmp_path, monkeypatch)


async def replaced(workers: Workers, gone: set[int]) -> None:
    """Wait until no process of ``gone`` is left and both slots have a worker that serves."""
    pool = workers.pool
    await until(
        lambda: (
            not {each.process.pid for each in pool.alive} & gone
            and not pool.num_replacing
            and all(each.is_ready for each in pool.workers)
        )
    )


def state_of(process: int) -> str:
    found = look_at(process)
    return found.state if found is not None else ""


async def test_life(play: Play) -> None:
    """Workers start, are known, and leave with the pool."""
    async with play.open() as workers:
        pool, before = workers.pool, processes(workers)

        assert set(before) == {0, 1}
        assert all(map(is_alive, before.values()))
        assert repr(pool) == "<WorkerPool 2 of 2 workers ready>"
        assert repr(pool.workers[1]) == f"<Worker 1 ready, process {before[1]}>"
        assert set(pool.alive.serving()) == set(pool.alive.listening()) == {1, 2}
        assert pool.is_ready

    assert not any(map(is_alive, before.values()))
    assert not pool.is_ready
    assert not pool.alive


async def test_dead_worker_is_replaced(play: Play, caplog) -> None:
    """The other stays, and the pool stays ready."""
    async with play.open() as workers:
        before = processes(workers)

        os.kill(before[0], signal.SIGKILL)
        await replaced(workers, {before[0]})

        after = processes(workers)
        assert after[0] != before[0]
        assert after[1] == before[1]
        assert workers.pool.is_ready
        assert "takes the place of the one that died" in caplog.text


@pytest.mark.parametrize(
    ("mode", "why"), [("stopped", "it is stopped"), ("endless", "it is busy"), ("waiting", "it waits")]
)
async def test_worker_that_stands_still_is_replaced(play: Play, caplog, mode: str, why: str) -> None:
    """It is no longer ready, and killed; one with heartbeats, and one that wants none, stay."""
    play.workers_shall("beat")
    async with play.open() as workers:
        play.workers_shall(mode)
        before = processes(workers)
        os.kill(before[0], signal.SIGKILL)
        await until(lambda: processes(workers)[0] != before[0])
        still = processes(workers)[0]
        play.workers_shall("serve")

        await replaced(workers, {before[0], still})

        assert f"<Worker 0 ready, process {still}> stands still and is killed: {why}" in caplog.text
        assert processes(workers)[1] == before[1]


async def test_stopped_worker_does_not_hold_up_the_end(play: Play, caplog) -> None:
    """A pool that closes does not wait for it as long as a worker may take."""
    play.file.write_text(SETTINGS.replace("drain_timeout_s: 1", "drain_timeout_s: 600"))
    play.workers_shall("stopped")
    async with play.open() as workers:
        before = processes(workers)
        await until(lambda: {state_of(process) for process in before.values()} == {"T"})

    assert not any(map(is_alive, before.values()))
    assert caplog.text.count("stands still and is killed: it is stopped") == 2
    assert "did not leave" not in caplog.text


async def test_dead_worker_is_replaced_as_soon_as_one_starts(play: Play) -> None:
    """Successors that fail are tried again; until one serves, the dead one's slot is reported as not ready."""
    async with play.open() as workers:
        before = processes(workers)
        play.workers_shall("fail")

        os.kill(before[0], signal.SIGKILL)
        await until(lambda: workers.pool.serial >= 5)
        assert [each.is_ready for each in workers.pool.workers] == [False, True]
        assert workers.pool.is_ready

        play.workers_shall("serve")
        await replaced(workers, {before[0]})


async def test_worker_that_dies_again_and_again(play: Play, caplog) -> None:
    """Each successor is waited for longer than the last, up to the limit."""
    async with play.open() as workers:
        before = processes(workers)
        play.workers_shall("crash")

        os.kill(before[0], signal.SIGKILL)
        await until(lambda: caplog.text.count("died with exit code 3") >= 4)

        assert workers.pool.workers[0].pause_s == 0.1
        assert processes(workers)[1] == before[1]
        play.workers_shall("serve")


async def test_process_that_cannot_be_made(play: Play, caplog) -> None:
    """It is tried again like one that does not start; at the beginning it ends the start."""
    async with play.open() as workers:
        before = processes(workers)
        play.worker.rename(play.worker.with_suffix(".away"))
        os.kill(before[0], signal.SIGKILL)
        await until(lambda: "a worker cannot be started: No such file" in caplog.text)

        play.worker.with_suffix(".away").rename(play.worker)
        await replaced(workers, {before[0]})

    play.worker.unlink()
    with pytest.raises(StartError, match="a worker cannot be started"):
        async with play.open():
            pass


async def test_all_are_replaced_one_after_the_other(play: Play) -> None:
    """There are never fewer than two that serve; replacements of the same workers are one."""
    async with play.open() as workers:
        pool, before = workers.pool, processes(workers)

        replacing = asyncio.gather(*(workers.replace_all() for _ in range(3)))
        fewest = 2
        while not replacing.done():
            fewest = min(fewest, sum(each.is_ready for each in pool.workers))
            await asyncio.sleep(0.002)

        after = processes(workers)
        assert fewest == 2
        assert not set(after.values()) & set(before.values())
        assert pool.serial == 4
        assert not any(map(is_alive, before.values()))


async def test_what_cannot_be_used_leaves_everybody_in_place(play: Play, caplog) -> None:
    """Settings that cannot be read, and workers that do not start."""
    async with play.open() as workers:
        before = processes(workers)

        play.file.write_text("role: nobody\n")
        await workers.replace_all()
        assert "the settings were not taken, all workers stay" in caplog.text
        play.file.write_text(SETTINGS)
        play.workers_shall("fail")
        await workers.replace_all()
        assert "the new worker does not start" in caplog.text

        assert processes(workers) == before
        assert all(map(is_alive, before.values()))


async def test_death_during_a_replacement_leaves_no_one_too_many(play: Play) -> None:
    """One successor for each slot, whoever starts it."""
    async with play.open() as workers:
        pool, before = workers.pool, processes(workers)

        pool.start_task(workers.replace_all())
        for process in before.values():
            os.kill(process, signal.SIGKILL)
        await until(lambda: pool.serial >= 4)
        await replaced(workers, set(before.values()))

        assert pool.alive == set(pool.workers)
        assert len(pool.alive) == 2


async def test_worker_that_does_not_leave_is_killed(play: Play, caplog) -> None:
    """After the time for a drain and a little more."""
    play.workers_shall("stubborn")
    async with play.open() as workers:
        before = processes(workers)

    assert not any(map(is_alive, before.values()))
    assert "did not leave within 0.2 s and is killed" in caplog.text


async def test_workers_that_do_not_start(play: Play) -> None:
    """The start ends."""
    play.workers_shall("fail")

    with pytest.raises(StartError, match="a worker did not start; its reason stands above"):
        async with play.open():
            pass


async def test_worker_that_is_stuck(play: Play, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    """One that neither serves nor ends has as long as a start may take."""
    monkeypatch.setattr(worker, "START_S", 0.05)
    play.workers_shall("stuck")

    with pytest.raises(StartError):
        async with play.open():
            pass
    assert "starting, process" in caplog.text
    assert "does not get ready" in caplog.text


async def test_leaving_during_the_start(play: Play) -> None:
    """It is no failure, and workers that are not ready are not waited for."""
    play.workers_shall("stuck")
    async with AsyncExitStack() as lifetimes:
        workers = await play.supervisor().open(lifetimes)
        starting = asyncio.create_task(workers.pool.start())
        await until(lambda: len(workers.pool.alive) == 2)

        workers.pool.stop()
        async with asyncio.timeout(30):
            await starting
            await workers.pool.stopped()

    assert not workers.pool.alive
