"""Threads lent in the order of asking."""

from __future__ import annotations

import threading

from edge_models.workers import Workers


async def test_work_runs_in_a_thread_of_its_own():
    """The loop's thread stays free."""
    workers = Workers(1)

    name = await workers.run(lambda: threading.current_thread().name)

    assert name.startswith("edgeway-model")
    workers.close()


async def test_who_asks_first_begins_first():
    """With all threads lent, those who ask wait in line; a release starts exactly one."""
    workers, began = Workers(1), []
    for name in ("first", "second", "third"):
        workers.acquire(lambda name=name: began.append(name))

    assert began == ["first"]
    assert repr(workers) == "<Workers 1/1 busy, 2 waiting>"

    workers.release()
    assert began == ["first", "second"]

    workers.release()
    workers.release()
    assert began == ["first", "second", "third"]
    assert repr(workers) == "<Workers 0/1 busy, 0 waiting>"
    workers.close()
