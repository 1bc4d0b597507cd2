"""One limit for the connections of several listeners."""

from __future__ import annotations

from collections.abc import Sized


class ConnectionLimit:
    """``most``: connections that all listeners together may have open, so that files are left for others."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._open: list[Sized] = []

    def __repr__(self) -> str:
        return f"<ConnectionLimit, {sum(map(len, self._open))} of {self.most}>"

    def count(self, *connections: Sized) -> None:
        """Count the members of ``connections`` from now on, as many as there are at each time."""
        self._open += connections

    def forget(self, *connections: Sized) -> None:
        """Count them no more: a listener has closed."""
        self._open = [each for each in self._open if not any(each is other for other in connections)]

    def is_reached(self) -> bool:
        """Whether there are as many as there may be."""
        return sum(map(len, self._open)) >= self.most
