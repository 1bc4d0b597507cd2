"""Many small things that nobody waits for: a few of them in each turn of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Final

AT_ONCE: Final = 16
"""Members that are made, begun with, or let go before other work of the loop has its turn."""


class Gradual:
    """Takes the steps of one task in turns; before another one begins, the rest of it is done at once."""

    def __init__(self) -> None:
        self._steps: Iterator[None] = iter(())
        self._next: asyncio.Handle | None = None

    def __repr__(self) -> str:
        return f"<Gradual, {'at work' if self._next is not None else 'idle'}>"

    def begin(self, steps: Iterator[None]) -> None:
        """Take the first steps now, and the others in turns to come."""
        self.finish()
        self._steps = steps
        self._go_on()

    def finish(self) -> None:
        """Take all steps that are left, now."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        for _ in self._steps:
            pass

    def _go_on(self) -> None:
        self._next = None
        taken = sum(1 for _ in islice(self._steps, AT_ONCE))
        if taken == AT_ONCE:
            self._next = asyncio.get_running_loop().call_soon(self._go_on)
