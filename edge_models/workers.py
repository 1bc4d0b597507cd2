"""A fixed number of threads that all models share, lent for one batch at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Workers:
    """Lends threads in the order of asking.

    A batch is put together only when its thread is there: until then it can still grow, and nothing
    waits inside the executor, where nobody could count it or take it back.
    """

    def __init__(self, threads: int, *, executor: Executor | None = None) -> None:
        self._threads = threads
        self._free = threads
        self._executor = executor or ThreadPoolExecutor(threads, thread_name_prefix="edgeway-model")
        self._waiting: deque[Callable[[], None]] = deque()

    def __repr__(self) -> str:
        return f"<Workers {self._threads - self._free}/{self._threads} busy, {len(self._waiting)} waiting>"

    def acquire(self, begin: Callable[[], None]) -> None:
        """Call ``begin`` with a thread lent, now or later; it must end in one ``release``, and not raise."""
        if self._free:
            self._free -= 1
            begin()
        else:
            self._waiting.append(begin)

    def release(self) -> None:
        """Give a lent thread back; who waits longest has it next."""
        if self._waiting:
            self._waiting.popleft()()
        else:
            self._free += 1

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Run ``work`` in a thread that was lent."""
        return asyncio.get_running_loop().run_in_executor(self._executor, work)

    def close(self) -> None:
        """End the threads; whoever may still ask must have been closed before."""
        self._executor.shutdown()
