"""The states of a circuit breaker: closed, open and half-open."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final
from weakref import ref

from pybreaker import (
    STATE_CLOSED,
    CircuitBreaker,
    CircuitBreakerListener,
    CircuitBreakerState,
    CircuitMemoryStorage,
)

CLOSED: Final = "closed"
OPEN: Final = "open"
HALF_OPEN: Final = "half_open"


class StateMachine:
    """The states, their transitions and the count of failures in a row are pybreaker's.

    Its open state reads the system's clock, so its owner decides when to half-open; no call is ever made
    through it, it only learns how calls have ended.

    Args:
        name: for pybreaker's own messages.
        fail_max: failures in a row that open it.
        changed: called with the state before and the state now, after each change.
    """

    def __init__(self, name: str, fail_max: int, changed: Callable[[str, str], None]) -> None:
        self.state = CLOSED
        self._changed = changed
        self._storage = CircuitMemoryStorage(STATE_CLOSED)
        self._machine = CircuitBreaker(
            fail_max=fail_max,
            listeners=[_Listener(self._enter)],
            state_storage=self._storage,
            name=name,
            throw_new_error_on_trip=False,
        )

    def __repr__(self) -> str:
        return f"<StateMachine {self.state}, {self.failures} of {self.fail_max} failures>"

    @property
    def failures(self) -> int:
        """Failures in a row so far."""
        return self._storage.counter

    @property
    def fail_max(self) -> int:
        """Failures in a row that open it."""
        return self._machine.fail_max

    def succeed(self) -> None:
        """A call has succeeded: forget the failures, and close if it was half-open."""
        self._machine.call(_return)

    def fail(self) -> None:
        """A call has failed: open if that are too many in a row, or if the state was half-open."""
        with suppress(_EvidenceError):
            self._machine.call(_raise)

    def open(self) -> None:
        """Open now."""
        self._machine.open()

    def half_open(self) -> None:
        """Let calls decide: the next success closes it, the next failure opens it."""
        self._machine.half_open()

    def _enter(self, state: str) -> None:
        before, self.state = self.state, state.replace("-", "_")
        self._changed(before, self.state)


class Ticket:
    """By which a breaker distinguishes its calls.

    Those of one closed spell share one, and a trial has its own. So a call that was admitted before the last
    change of state and ends late changes nothing.
    """

    __slots__ = ("__weakref__",)


class Trial:
    """The one call at a time that is let through although the circuit is not closed.

    It is known by its ticket; one whose ticket was dropped without a report is over.
    """

    __slots__ = ("_ticket",)

    def __init__(self) -> None:
        self._ticket: ref[Ticket] | None = None

    def __repr__(self) -> str:
        return f"<Trial {'under way' if self.is_under_way else 'free'}>"

    @property
    def is_under_way(self) -> bool:
        """Whether a call is on trial and has not reported."""
        return self._ticket is not None and self._ticket() is not None

    def begin(self, ticket: Ticket) -> None:
        """Put the call of ``ticket`` on trial, in place of any other."""
        self._ticket = ref(ticket)

    def ends(self, ticket: Ticket) -> bool:
        """End the trial if it is that of ``ticket``; return whether it is."""
        if self._ticket is None or self._ticket() is not ticket:
            return False
        self._ticket = None
        return True

    def forget(self) -> None:
        """End the trial, whichever call it is."""
        self._ticket = None


class _EvidenceError(Exception):
    """How pybreaker learns of a failure."""


def _return() -> None: ...


def _raise() -> None:
    raise _EvidenceError


class _Listener(CircuitBreakerListener):
    def __init__(self, entered: Callable[[str], None]) -> None:
        self._entered = entered

    def state_change(
        self,
        cb: CircuitBreaker,  # noqa: ARG002 - pybreaker's signature
        old_state: CircuitBreakerState | None,  # noqa: ARG002 - pybreaker's signature
        new_state: CircuitBreakerState,
    ) -> None:
        self._entered(new_state.name)
