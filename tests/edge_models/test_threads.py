"""Threads that nobody has to wait for."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError

import pytest

from edge_models.threads import DaemonThreads, run_apart, unfinished

LIMIT_S = 30


def test_one_thread_serves_one_after_the_other():
    """Another is started only while the first is busy."""
    threads, entered, leave = DaemonThreads(), threading.Event(), threading.Event()

    names = {threads.submit(lambda: threading.current_thread().name).result(LIMIT_S) for _ in range(20)}
    assert len(names) == 1

    held = threads.submit(lambda: (entered.set(), leave.wait(LIMIT_S)))
    assert entered.wait(LIMIT_S)
    assert threads.submit(lambda: threading.current_thread().name).result(LIMIT_S) not in names
    assert repr(threads) == "<DaemonThreads edgeway-model 1/2 idle>"
    leave.set()
    held.result(LIMIT_S)
    threads.shutdown()
    assert unfinished() == []


def test_errors_and_cancelled_work():
    """The future has them, and the thread is there for the next."""
    threads, leave = DaemonThreads(), threading.Event()
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 // 0).result(LIMIT_S)
    threads.submit(leave.wait, LIMIT_S)
    cancelled = run_apart("once", lambda: 1)
    assert cancelled.result(LIMIT_S) == 1
    with pytest.raises(CancelledError):
        run_apart("once", _cancel).result(LIMIT_S)
    leave.set()
    threads.shutdown()


def _cancel() -> None:
    raise CancelledError


def test_a_thread_that_does_not_end():
    """Closing does not wait for it; it is named, so that a process can leave without it."""
    threads, leave = DaemonThreads(), threading.Event()
    held = threads.submit(leave.wait, LIMIT_S)

    threads.shutdown()

    assert unfinished() == ["edgeway-model-0"]
    assert all(thread.daemon for thread in threading.enumerate() if thread.name in unfinished())
    leave.set()
    assert held.result(LIMIT_S)
