"""What every upstream can do, whatever protocol it speaks."""

from __future__ import annotations

from typing import Protocol

from gateway.core.catalog import RemoteCatalog
from gateway.core.service import Service
from gateway.core.verdict import Verdict


class Upstream(Service, RemoteCatalog, Protocol):
    """One endpoint of a tier: it answers requests, and queries about models, over connections of its own.

    It connects at its first request. One that must learn what its endpoint can do before it sends requests
    there also has the methods of ``gateway.upstreams.abilities.Learner``.
    """

    @property
    def refresh_s(self) -> float:
        """Seconds between two calls of ``refresh``."""
        ...

    @property
    def problems(self) -> tuple[str, ...]:
        """Why files of this endpoint (TLS, credential) are not in use as they are on disk; mostly empty."""
        ...

    async def check(self) -> Verdict:
        """Check whether the endpoint is ready, over a connection of its own."""
        ...

    def move(self) -> bool:
        """Leave the addresses in use for others of the name, if there are some worth trying."""
        ...

    def renew(self) -> None:
        """Send what comes from now on over new connections."""
        ...

    async def refresh(self) -> None:
        """Look the name up again, leave the addresses that it has no longer; take files that changed.

        Raises:
            OSError: the name cannot be looked up.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections; calls under way fail as UNAVAILABLE."""
        ...
