"""Executors whose threads a test owns.

Example::

    workers = Workers(1, executor=Instant())      # runs at once, in the loop's thread
    workers = Workers(1, executor=Slow(0.010))    # the answer comes after 10 ms of loop time
    held = Held(); held.runs                      # waits for held.let_go(), oldest run first
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class Instant(Executor):
    """Runs what it is given before ``submit`` returns."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        _resolve(future, fn, args, kwargs)
        return future


class Slow(Executor):
    """Runs what it is given after ``seconds`` of loop time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        asyncio.get_running_loop().call_later(self.seconds, _resolve, future, fn, args, kwargs)
        return future


class Held(Executor):
    """Runs nothing until told."""

    def __init__(self) -> None:
        self.runs: list[tuple[Future[Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.runs.append((future, fn, args, kwargs))
        return future

    def let_go(self) -> None:
        """Run the oldest."""
        _resolve(*self.runs.pop(0))

    def drop(self) -> None:
        """Cancel the oldest, as an executor does that is torn down."""
        self.runs.pop(0)[0].cancel()


def _resolve(
    future: Future[Any], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    try:
        future.set_result(fn(*args, **kwargs))
    except Exception as error:  # noqa: BLE001 - as real executors do, the future carries whatever was raised
        future.set_exception(error)
