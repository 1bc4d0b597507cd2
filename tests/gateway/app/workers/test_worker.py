"""A worker process, as its parent knows it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from gateway.app.workers import worker as module
from gateway.app.workers.inheritance import Inheritance
from gateway.app.workers.worker import Worker


async def started(program: str) -> Worker:
    """Start ``program``, Python that may write to the descriptor ``ready``."""
    theirs, ours = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"import os, time; ready = {ours}; {program}", pass_fds=(ours,)
    )
    os.close(ours)
    inheritance = Inheritance(1, 4, {}, ours, -1, "worker.sock", "parent.sock")
    return Worker(inheritance, process, theirs, leave_limit_s=1)


async def test_one_that_serves_and_leaves() -> None:
    """It is ready with its first byte, and leaves by SIGTERM, which is sent once."""
    worker = await started("os.write(ready, b'.'); time.sleep(600)")
    assert repr(worker) == f"<Worker 1 starting, process {worker.process.pid}>"

    assert await worker.wait_ready()
    assert "ready" in repr(worker)
    worker.leave()
    worker.leave()

    assert "leaving" in repr(worker)
    assert await worker.process.wait() == -signal.SIGTERM


async def test_one_that_ends_before_it_serves() -> None:
    """Its end is noticed at once, and it gets no signal."""
    worker = await started("")

    assert not await worker.wait_ready()
    await worker.process.wait()
    worker.leave()

    assert not worker.is_leaving


async def test_one_that_is_stuck(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """After as long as a start may take it counts as one that does not serve."""
    monkeypatch.setattr(module, "START_S", 0.05)
    worker = await started("time.sleep(600)")

    assert not await worker.wait_ready()
    assert "does not get ready" in caplog.text
    worker.leave()
    await worker.process.wait()
