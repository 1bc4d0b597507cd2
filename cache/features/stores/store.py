"""What any online store can do: give vectors for ids, many in one round trip."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from cache.features.vectors import StoreError

Outcome = bytes | StoreError | None
"""Of one entity: its vector as raw float32, None where the store has none, or why that is not known."""


class Store(Protocol):
    """An online store. It bounds its own time, and whatever it does costs vectors and nothing else."""

    async def fetch(self, names: Sequence[bytes]) -> Sequence[Outcome]:
        """Return the outcome of each of ``names``, in their order, after one round trip.

        Raises:
            StoreError: the store could not be asked, or did not answer in time.
        """
        ...

    def known_ids(self) -> AsyncIterator[Sequence[bytes]]:
        """Return all names that the store has, in parts.

        Raises:
            StoreError: they cannot be listed.
        """
        ...

    async def aclose(self) -> None:
        """Let go of all connections."""
        ...
