"""Threads for work that may never end: a process can leave without them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_PREFIX: Final = "edgeway-model"
_LEAVE_S: Final = 0.5


class DaemonThreads(Executor):
    """Runs what it is given at once: in an idle thread, or in one more. Who submits bounds their number.

    A thread whose work does not end is never idle again and keeps nobody waiting, not even Python's exit.
    """

    def __init__(self, name: str = _PREFIX) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._idle = 0
        self._threads: list[threading.Thread] = []
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def __repr__(self) -> str:
        return f"<DaemonThreads {self._name} {self._idle}/{len(self._threads)} idle>"

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn`` in a thread."""
        done: Future[T] = Future()

        work = partial(_work, done, partial(fn, *args, **kwargs), self._is_idle)
        with self._lock:
            if self._idle:
                self._idle -= 1
            else:
                self._start()
        self._work.put(work)
        return done

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - Executor's
        """End the threads that are idle, and the others when their work ends; wait a moment for them."""
        with self._lock:
            threads, self._threads = self._threads, []
        for _ in threads:
            self._work.put(None)
        until = time.monotonic() + _LEAVE_S
        for thread in threads if wait else ():
            thread.join(max(0.0, until - time.monotonic()))

    def _start(self) -> None:
        thread = threading.Thread(target=self._loop, name=f"{self._name}-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _loop(self) -> None:
        work: Any
        while (work := self._work.get()) is not None:
            work()
            del work  # what it held is nobody's any more

    def _is_idle(self) -> None:
        with self._lock:
            self._idle += 1


def run_apart(name: str, work: Callable[[], T]) -> Future[T]:
    """Run ``work`` in a thread that is there for nothing else."""
    done: Future[T] = Future()
    run = partial(_work, done, work, lambda: None)
    threading.Thread(target=run, name=f"{_PREFIX}-{name}", daemon=True).start()
    return done


def _work(done: Future[T], work: Callable[[], T], ended: Callable[[], None]) -> None:
    """Run ``work`` and hand its result over. ``ended`` is called before anybody knows of that."""
    if not done.set_running_or_notify_cancel():
        ended()
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - whoever waits gets it
        ended()
        done.set_exception(error)
    else:
        ended()
        done.set_result(result)


def unfinished() -> list[str]:
    """Return the names of the threads of models that run on when all is closed: they cannot be ended."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(_PREFIX)]
