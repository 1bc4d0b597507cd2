"""An event loop in which waiting takes no time.

Example::

    @virtual_time
    async def test_deadline_expires():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(15):
                await asyncio.sleep(3600)      # returns at once; loop.time() has moved on by 15 s

Nothing that does real I/O may run in it: the loop jumps to the next timer whenever nothing is ready.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any
from weakref import WeakSet


class _Jump(selectors.DefaultSelector):  # type: ignore[valid-type,misc]
    """A selector that moves the loop's clock on instead of waiting."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        ready: list[Any] = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("deadlock: nothing is ready and no timer is set")
            self.loop.now_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock starts at 1000 s and only moves when everybody waits."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        selector = _Jump()
        selector.loop = self
        self._timers: WeakSet[asyncio.TimerHandle] = WeakSet()
        super().__init__(selector)
        self.slow_callback_duration = 10.0

    def time(self) -> float:
        return self.now_s

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        timer = super().call_at(when, callback, *args, context=context)
        self._timers.add(timer)
        return timer

    @property
    def armed(self) -> list[asyncio.TimerHandle]:
        """The timers that will fire."""
        return [timer for timer in self._timers if not timer.cancelled() and timer.when() > self.now_s]


def virtual_loop() -> VirtualLoop:
    """Return the running loop of a ``@virtual_time`` test."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Turn a coroutine test into one that runs on a VirtualLoop and leaves no task behind."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def checked() -> None:
            await test(*args, **kwargs)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks left behind: {left}"

        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(checked())

    return run
