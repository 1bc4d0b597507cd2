"""Whether a worker stands still, or only gets no time from its machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.app.workers.standstill import MISSED, MISSED_AT_MOST, Sight, look_at, why_still

FIRST = Sight("R", 5.0)


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (Sight("T", 5.0), "it is stopped"),
        (Sight("S", 5.0), "it waits for something that does not come"),
        (Sight("I", 5.0), "it waits for something that does not come"),
        (Sight("R", 5.8), "it is busy with something that does not end"),
        # Machines at fault: overloaded, waiting for a disk; and a process in a debugger's hands.
        (Sight("R", 5.1), ""),
        (Sight("D", 5.0), ""),
        (Sight("t", 5.0), ""),
        (None, ""),
    ],
)
def test_why(now: Sight | None, why: str) -> None:
    """Only what the worker itself does, or lets be done to it, counts so soon; after ten seconds all does."""
    assert why_still(MISSED - 1, FIRST, now) == ""
    assert why_still(MISSED, FIRST, now) == why
    assert why_still(MISSED_AT_MOST, FIRST, now) in {why, "no heartbeat for 10 s"} - {""}


@pytest.mark.parametrize("state", "TSRD")
def test_one_that_loads_its_models(state: str) -> None:
    """It has no heartbeat yet, however long; but stopped is stopped."""
    now = Sight(state, 500.0)
    for missed in (MISSED, MISSED_AT_MOST):
        assert bool(why_still(missed, FIRST, now, has_begun=False)) == (state == "T")


def test_look_at() -> None:
    """This process uses time, and can be seen; one that does not exist cannot."""
    before = look_at(os.getpid())
    assert before is not None
    assert before.state == "R"
    while True:
        now = look_at(os.getpid())
        assert now is not None
        if now.cpu_s > before.cpu_s:
            break
    assert look_at(2**22 + 1) is None


@pytest.mark.parametrize("text", ["", "7 (x) S", "7 x", "7 (x) S " + "a " * 20])
def test_what_no_kernel_writes(tmp_path: Path, text: str) -> None:
    """It is as if it could not be seen."""
    stat = tmp_path / "7" / "task" / "7" / "stat"
    stat.parent.mkdir(parents=True)
    stat.write_text(text)

    assert look_at(7, tmp_path) is None
    stat.write_text("7 (a) b) (c d) T " + "0 " * 10 + "150 50 0")
    assert look_at(7, tmp_path) == Sight("T", 200 / os.sysconf("SC_CLK_TCK"))
