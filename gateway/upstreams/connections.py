"""The connections to one endpoint, opened with its first call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from gateway.core.errors import GatewayError
from gateway.http.client.dialer import Dialer, UnreachableError
from gateway.upstreams.failures import Failures


class Pool(Protocol):
    """What the pools of HTTP/1.1 and of HTTP/2 have in common."""

    def move(self) -> bool:
        """Leave the addresses in use for others; return whether there are some worth trying."""
        ...

    def renew(self) -> None:
        """Send nothing more over the connections that are open."""
        ...

    def hurry(self) -> None:
        """Connect at once when the next call comes."""
        ...

    async def refresh(self) -> None:
        """Look the name up again, and leave the addresses that it has no longer."""
        ...


P = TypeVar("P", bound=Pool)


class Connections(Generic[P]):
    """The pool of one endpoint; there is none before the first call, and nothing to move, renew or refresh.

    Args:
        open_pool: makes the pool.
        dialer: the one that the pool uses; it ends with the connections.
        failures: names the errors of calls that end without an answer.
    """

    def __init__(self, open_pool: Callable[[], P], dialer: Dialer, failures: Failures) -> None:
        self._open_pool, self._dialer, self._failures = open_pool, dialer, failures
        self.running = 0
        """Calls under way."""
        self.is_closed = False
        self.opened: P | None = None
        """The pool, once there is one."""

    def __repr__(self) -> str:
        return f"<Connections {self}>"

    def __str__(self) -> str:
        return f"{'closed' if self.is_closed else 'open'}, {self.running} running"

    def pool(self) -> P:
        """Return the pool, which is made with the first call.

        Raises:
            GatewayError: UNAVAILABLE after ``close``.
        """
        if self.is_closed:
            raise self._failures.closed().replaced(unsent=True)
        if self.opened is None:
            self.opened = self._open_pool()
        return self.opened

    def move(self) -> bool:
        """Leave the addresses in use for others of the name, if there are some worth trying."""
        return self.opened is not None and self.opened.move()

    def renew(self) -> None:
        """Send what comes from now on over new connections."""
        if self.opened is not None:
            self.opened.renew()

    def hurry(self) -> None:
        """Connect at once when the next call comes: the server answers."""
        if self.opened is not None:
            self.opened.hurry()

    async def refresh(self) -> None:
        """Look the name up again, and leave the addresses that it has no longer."""
        if self.opened is not None:
            await self.opened.refresh()

    def close(self) -> P | None:
        """Take no more calls; return the pool, if there is one, for its owner to close."""
        self.is_closed = True
        self._dialer.close()
        return self.opened

    def lost(self, error: Exception) -> GatewayError:
        """Return the error of a call that ``error`` ended before there was an answer.

        It is ``unsent`` where there was no connection.
        """
        is_unsent = isinstance(error, UnreachableError)
        if self.is_closed:
            return self._failures.closed().replaced(unsent=is_unsent)
        return (
            self._failures.lost(error.__cause__).replaced(unsent=True)
            if is_unsent
            else self._failures.lost(error)
        )
