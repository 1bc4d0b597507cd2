"""Triton's ``preserve_ordering``: no answer overtakes that of a batch that began before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable


class AnswerOrder:
    """Holds answers back until those of all batches that began before have been given."""

    def __init__(self) -> None:
        self._begun: deque[Hashable] = deque()
        self._ready: dict[Hashable, Callable[[], None]] = {}

    def __repr__(self) -> str:
        return f"<AnswerOrder {len(self._begun)} begun, {len(self._ready)} held back>"

    def begin(self, batch: Hashable) -> None:
        """Note that ``batch`` begins."""
        self._begun.append(batch)

    def end(self, batch: Hashable, answer: Callable[[], None]) -> None:
        """Call ``answer`` when it is the turn of ``batch``, now or later."""
        self._ready[batch] = answer
        while self._begun and self._begun[0] in self._ready:
            self._ready.pop(self._begun.popleft())()
