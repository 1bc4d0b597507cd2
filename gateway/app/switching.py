"""How long a thread that computes keeps the interpreter to itself before the event loop has its turn."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final

OFTEN_S: Final = 0.0005
"""Python's own is 5 ms, which a request would wait each time it comes back from a socket."""

_lock: Final = Lock()
_usual: list[float] = []
"""What was in force before the first of those that run now, and as many entries as there are of them."""


@contextmanager
def switching_often() -> Iterator[None]:
    """Do work in a thread, for seconds, that must not slow the requests of the event loop down.

    It takes somewhat longer itself. Several may run at once; the last one puts back what was in force.
    """
    with _lock:
        _usual.append(_usual[0] if _usual else sys.getswitchinterval())
        sys.setswitchinterval(OFTEN_S)
    try:
        yield
    finally:
        with _lock:
            usual = _usual.pop()
            if not _usual:
                sys.setswitchinterval(usual)
