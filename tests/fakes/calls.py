"""How many functions are called: a measure of work that no other process on the machine can change."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Calls:
    """How often this thread has called anything so far."""

    def __init__(self) -> None:
        self.number = 0

    def __repr__(self) -> str:
        return f"<Calls {self.number}>"

    def note(self, _frame: FrameType, event: str, _argument: Any) -> None:
        if event in {"call", "c_call"}:
            self.number += 1


@contextmanager
def counted_calls() -> Iterator[Calls]:
    """Count the calls that this thread makes in the block, also those that the event loop makes meanwhile."""
    calls = Calls()
    before = sys.getprofile()
    sys.setprofile(calls.note)
    try:
        yield calls
    finally:
        sys.setprofile(before)
