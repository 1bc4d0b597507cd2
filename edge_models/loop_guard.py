"""Stops a run that holds the event loop for too long. The loop stands still meanwhile, so a thread looks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

TICK_S: Final = 0.05
PATIENCE: Final = 2
"""Ticks that a run may live through. Ticks and not seconds: a process that stands still does not tick."""

_IDLE: Final = 20


class Watch:
    """One run on the loop, until ``end``."""

    __slots__ = ("_guard", "is_stopped", "stop")

    def __init__(self, guard: LoopGuard, stop: Callable[[], None]) -> None:
        self._guard, self.stop = guard, stop
        self.is_stopped = False

    def end(self) -> bool:
        """The run has ended; return whether it was stopped, so that its options cannot be used again."""
        self._guard.current = None
        return self.is_stopped


class LoopGuard:
    """Looks at the run on the loop, of which there is one at most. Its thread sleeps while there is none."""

    def __init__(self) -> None:
        self.current: Watch | None = None
        self._is_parked = True
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<LoopGuard {'parked' if self._is_parked else 'watching'}>"

    def watch(self, stop: Callable[[], None]) -> Watch:
        """Call ``stop`` if the run that begins now takes too long; ``end`` what is returned after it."""
        watch = self.current = Watch(self, stop)
        if self._is_parked:
            self._unpark()
        return watch

    def close(self) -> None:
        """End the thread."""
        self._is_closed = True
        self._wake.set()

    def _unpark(self) -> None:
        self._is_parked = False
        self._wake.set()
        if self._thread is None and not self._is_closed:
            self._thread = threading.Thread(target=self._look, name="edgeway-loop-guard", daemon=True)
            self._thread.start()

    def _look(self) -> None:
        seen: Watch | None = None
        ticks = idle = 0
        while not self._is_closed:
            time.sleep(TICK_S)
            current = self.current
            if current is None or current is not seen:
                ticks, seen = 0, current
                idle = idle + 1 if current is None else 0
            elif (ticks := ticks + 1) >= PATIENCE:
                self._stop(current)
            if idle >= _IDLE:
                idle = 0
                self._park()

    def _stop(self, watch: Watch) -> None:
        # Either this thread sees that the run has ended, or the loop sees that it was stopped.
        watch.is_stopped = True
        if self.current is watch:
            watch.stop()

    def _park(self) -> None:
        self._wake.clear()
        self._is_parked = True
        # A run that began in between may have found the thread awake.
        if self.current is None:
            self._wake.wait()
        self._is_parked = False
