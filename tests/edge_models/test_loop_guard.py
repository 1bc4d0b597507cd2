"""Runs on the event loop that take too long are stopped from a thread."""

from __future__ import annotations

import threading
import time

from edge_models.loop_guard import LoopGuard

LIMIT_S = 30


def test_a_run_that_takes_long_is_stopped():
    """It is told so after a while, and those after it are not."""
    guard, stopped = LoopGuard(), threading.Event()

    watch = guard.watch(stopped.set)
    assert stopped.wait(LIMIT_S)
    assert watch.end()

    assert not guard.watch(stopped.clear).end()
    assert stopped.is_set()
    assert repr(guard) == "<LoopGuard watching>"
    guard.close()


def test_it_sleeps_while_nothing_runs_and_wakes_for_the_next():
    """Its thread is parked after a second without a run."""
    guard, stopped = LoopGuard(), threading.Event()
    guard.watch(lambda: None).end()
    until = time.monotonic() + LIMIT_S
    while repr(guard) != "<LoopGuard parked>":
        assert time.monotonic() < until
        time.sleep(0.1)

    watch = guard.watch(stopped.set)

    assert stopped.wait(LIMIT_S)
    assert watch.end()
    guard.close()
