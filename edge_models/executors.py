"""Where batches run: on a fixed number of threads that all models share, or on the event loop itself."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")


class Executors(Protocol):
    """What runs batches; acquired for one batch at a time."""

    def acquire(self, begin: Callable[[], None]) -> None:
        """Call ``begin`` when one is free, now or later; it must lead to one ``release``, and not raise."""
        ...

    def release(self) -> None:
        """Give back what was acquired."""
        ...

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Run ``work`` on what was acquired."""
        ...


class LoopExecutor:
    """Runs batches on the event loop, at the end of its turn: what came in one turn is one batch.

    There is no hop to a thread and back, and the processor's caches serve all requests of a turn before the
    model needs them; but the loop stands still while a batch runs.
    """

    def __repr__(self) -> str:
        return "<LoopExecutor>"

    def acquire(self, begin: Callable[[], None]) -> None:
        """Call ``begin`` when the loop has seen to all that has come."""
        asyncio.get_running_loop().call_soon(begin)

    def release(self) -> None:
        """Nothing to give back: the event loop is not limited."""

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Run ``work`` now."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            done.set_result(work())
        except Exception as error:  # noqa: BLE001 - as from a thread
            done.set_exception(error)
        return done


class ThreadExecutor:
    """Runs batches on threads, which are acquired in the order of the calls.

    A batch is put together only when its thread is free: until then it can still grow, and nothing waits
    inside the pool of threads, where it could be neither counted nor taken back.
    """

    def __init__(self, threads: int, *, executor: Executor | None = None) -> None:
        self._threads = threads
        self._free = threads
        self._executor = executor or ThreadPoolExecutor(threads, thread_name_prefix="edgeway-model")
        self._waiting: deque[Callable[[], None]] = deque()

    def __repr__(self) -> str:
        busy = self._threads - self._free
        return f"<ThreadExecutor {busy}/{self._threads} busy, {len(self._waiting)} waiting>"

    def acquire(self, begin: Callable[[], None]) -> None:
        """Call ``begin`` when a thread is free, now or later; it must lead to one ``release``, not raise."""
        if self._free:
            self._free -= 1
            begin()
        else:
            self._waiting.append(begin)

    def release(self) -> None:
        """Give a thread back; the call that has waited longest gets it."""
        if self._waiting:
            self._waiting.popleft()()
        else:
            self._free += 1

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Run ``work`` in the thread that was acquired."""
        return asyncio.get_running_loop().run_in_executor(self._executor, work)

    def close(self) -> None:
        """End the threads; what uses them must have been closed before."""
        self._executor.shutdown()


_: tuple[type[Executors], type[Executors]] = (ThreadExecutor, LoopExecutor)
