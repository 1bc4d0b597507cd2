"""What an upstream does when the files of its endpoint have changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class RotatingSource(Protocol):
    """Files that may change (``gateway.http.client.rotating.Rotating``)."""

    @property
    def generation(self) -> int:
        """Grows with each change that is taken."""
        ...

    @property
    def problem(self) -> str:
        """Why what is there now is not in use; empty: it is."""
        ...

    async def refresh(self) -> None:
        """Take what is new; whatever is wrong with it, what is in use stays."""
        ...


class Rotation:
    """Looks at sources, and calls what belongs to those that changed since it last did."""

    def __init__(self) -> None:
        self._watched: list[tuple[RotatingSource, Callable[[], None]]] = []
        self._seen: list[int] = []

    def __repr__(self) -> str:
        return f"<Rotation of {len(self._watched)}>"

    @property
    def problems(self) -> tuple[str, ...]:
        """Why something is not in use as it is on disk."""
        return tuple(source.problem for source, _ in self._watched if source.problem)

    def watch(self, source: RotatingSource | None, changed: Callable[[], None]) -> None:
        """Look at ``source``, if there is one; ``changed`` is called after each change of it."""
        if source is not None:
            self._watched.append((source, changed))
            self._seen.append(source.generation)

    async def refresh(self) -> None:
        """Have all sources read again, and call what belongs to those that changed."""
        for position, (source, changed) in enumerate(self._watched):
            await source.refresh()
            if self._seen[position] != source.generation:
                # Others share the source, and may have had it read.
                self._seen[position] = source.generation
                changed()
