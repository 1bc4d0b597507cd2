"""Python's garbage collector, which holds every thread while it looks at all objects there are."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def freeze_what_stays() -> None:
    """Collect what is garbage now, and leave what is not out of every later collection.

    Call it once a process serves: the modules and what was opened stay as long as the process does, and a
    full collection would look at each of their objects, some 30 ms each time.
    """
    gc.collect()
    gc.freeze()


@contextmanager
def held_off() -> Iterator[None]:
    """Do work that makes many objects, of which few stay, without a collection.

    For work that only computes: were it to wait for something, garbage would pile up meanwhile.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
