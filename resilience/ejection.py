"""Whether one endpoint, or one model at it, is left out, and why."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from weakref import ref

from pybreaker import (
    STATE_CLOSED,
    STATE_HALF_OPEN,
    STATE_OPEN,
    CircuitBreaker,
    CircuitBreakerListener,
    CircuitBreakerState,
    CircuitMemoryStorage,
)

from gateway.core.clock import Chance
from gateway.core.errors import Why
from gateway.core.telemetry import BreakerChanged, Silence, Telemetry
from resilience.settings import BreakerSettings

_log = logging.getLogger("edgeway.breaker")

_LEAST: Final = 0.4
"""Waits are drawn between this share of their length and all of it."""

_DOUBLINGS: Final = 32


class Ticket:
    """What calls are told apart by: those of one closed spell share one, and each trial has its own."""

    __slots__ = ("__weakref__",)


class Ejection:
    """Closed, open, or half-open.

    ``consecutive_5xx`` failures in a row open it. Somebody else checks the health of what is out:
    ``let_in`` makes it half-open, which lets everybody in; then a success of a call closes it, and a failure
    opens it again. So what is let in by a health check that knows nothing is out again at once, for twice as
    long. A call that was admitted before the last change of state and ends late changes nothing.

    The states and their transitions are pybreaker's; nothing is ever called through an open machine.

    Args:
        endpoint: its name.
        model: of which alone this is; empty for the whole endpoint.
        settings: how many failures, and how long.
        chance: draws the waits.
        telemetry: hears ``BreakerChanged``.
        opened: called when it opens.
        is_spared: asked before it opens by failures in a row: whether something else takes its place.
    """

    def __init__(
        self,
        endpoint: str,
        settings: BreakerSettings,
        chance: Chance,
        telemetry: Telemetry,
        *,
        model: str = "",
        opened: Callable[[], None] = lambda: None,
        is_spared: Callable[[], bool] = lambda: False,
    ) -> None:
        self.endpoint, self.model = endpoint, model
        self._settings, self._chance, self._telemetry = settings, chance, telemetry
        self.opened, self._is_spared = opened, is_spared
        self._storage = CircuitMemoryStorage(STATE_CLOSED)
        self._machine = CircuitBreaker(
            fail_max=settings.consecutive_5xx,
            listeners=[_Listener(self)],
            state_storage=self._storage,
            name=endpoint,
            throw_new_error_on_trip=False,
        )
        self._state = STATE_CLOSED
        self._failed_checks = 0
        self._offers_trial = False
        self._trial: ref[Ticket] | None = None
        self.why: Why | None = None
        """What was held against it last; None once a call has succeeded."""
        self.ticket = Ticket()
        """Of the calls that are admitted in this spell."""

    def __repr__(self) -> str:
        name = f"{self.endpoint}/{self.model}" if self.model else self.endpoint
        if self._state == STATE_CLOSED:
            detail = f"{self._storage.counter} of {self._machine.fail_max} failures"
        else:
            detail = f"{self.why.reason if self.why else 'unknown'}, {self._failed_checks} checks failed"
        return f"<Ejection {name} {self.state}, {detail}>"

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half_open``."""
        return self._state.replace("-", "_")

    @property
    def is_open(self) -> bool:
        """Whether it is out."""
        return self._state == STATE_OPEN

    @property
    def is_closed(self) -> bool:
        """Whether nothing is held against it that could put it out."""
        return self._state == STATE_CLOSED

    @property
    def admits(self) -> bool:
        """Whether ``admit`` would let a call through now; asking changes nothing."""
        return self._state != STATE_OPEN or (self._offers_trial and not self._is_tried())

    def admit(self) -> Ticket | None:
        """Return the ticket of a call that may go ahead now."""
        if self._state != STATE_OPEN:
            return self.ticket
        if not self.admits:
            return None
        self._offers_trial = False
        trial = Ticket()
        self._trial = ref(trial)
        return trial

    def succeeded(self, ticket: Ticket) -> None:
        """The call of ``ticket`` proved that the other side works."""
        if ticket is self.ticket and self._state != STATE_OPEN:
            if self._storage.counter or self._state == STATE_HALF_OPEN:
                self._machine.call(_succeed)
        elif self._ends_trial(ticket):
            self._machine.half_open()
            self._machine.call(_succeed)

    def failed(self, ticket: Ticket, why: Why) -> None:
        """The call of ``ticket`` is evidence against it."""
        if ticket is self.ticket and self._state != STATE_OPEN:
            self.why = why
            self._count()
        elif self._ends_trial(ticket):
            self.why = why

    def left(self, ticket: Ticket) -> None:
        """The call of ``ticket`` ended without evidence."""
        if self._ends_trial(ticket):
            self._offers_trial = True

    def trip(self, why: Why) -> None:
        """Put it out now."""
        if self._state != STATE_OPEN:
            self.why = why
            self._machine.open()

    def let_in(self) -> None:
        """Take it in again: its health check says that it is well."""
        if self._state == STATE_OPEN:
            self._machine.half_open()

    def stays_out(self, why: Why, *, offers_trial: bool) -> None:
        """Take note of a health check that failed; ``offers_trial`` lets one call through all the same."""
        if self._state != STATE_OPEN:
            # A trial has closed it while its health was being checked.
            return
        if not self.model:
            # A check speaks of the endpoint; what is held against a model is what its requests met.
            self.why = why
        self._failed_checks += 1
        self._offers_trial = offers_trial

    def wait_s(self) -> float:
        """Draw the seconds from one health check to the next."""
        doubled_s = self._settings.base_ejection_time_s * 2.0 ** min(self._failed_checks, _DOUBLINGS)
        return self._chance.uniform(_LEAST, 1.0) * min(doubled_s, self._settings.longest_s)

    def retire(self) -> None:
        """Report no more: another one may have the name now. Calls under way still end here."""
        self._telemetry = Silence()

    def _count(self) -> None:
        is_last_straw = self._storage.counter + 1 >= self._machine.fail_max
        if is_last_straw and self._state == STATE_CLOSED and self._is_spared():
            # What comes now goes to something else, and what is still under way no more counts.
            self._machine.call(_succeed)
            self.ticket = Ticket()
            return
        with suppress(_EvidenceError):
            self._machine.call(_fail)

    def _is_tried(self) -> bool:
        return self._trial is not None and self._trial() is not None

    def _ends_trial(self, ticket: Ticket) -> bool:
        if self._state != STATE_OPEN or self._trial is None or self._trial() is not ticket:
            return False
        self._trial = None
        return True

    def enter(self, state: str) -> None:
        """Hear of a new state from the machine."""
        if state == STATE_OPEN and self._state == STATE_HALF_OPEN:
            # The health check had no say in what matters: the next one comes later.
            self._failed_checks += 1
        self._state, self.ticket = state, Ticket()
        self._offers_trial, self._trial = False, None
        if state == STATE_CLOSED:
            self._failed_checks, self.why = 0, None
        reason = self.why.reason if self.why else ""
        # The first time and the last: what is let in and fails may do so for hours.
        is_news = state == STATE_CLOSED or not self._failed_checks
        level = logging.WARNING if is_news else logging.DEBUG
        _log.log(level, "%s is %s%s", self._name, self.state, f": {self.why}" if self.why else "")
        self._telemetry.emit(BreakerChanged(self.endpoint, self.state, reason, self.model))
        if state == STATE_OPEN:
            self.opened()

    @property
    def _name(self) -> str:
        model = f" for model {self.model}" if self.model else ""
        return f"the circuit of {self.endpoint}{model}"


class _EvidenceError(Exception):
    """What pybreaker is told of a failure."""


def _succeed() -> None: ...


def _fail() -> None:
    raise _EvidenceError


class _Listener(CircuitBreakerListener):
    def __init__(self, ejection: Ejection) -> None:
        self._ejection = ejection

    def state_change(
        self,
        cb: CircuitBreaker,  # noqa: ARG002 - pybreaker's signature
        old_state: CircuitBreakerState | None,  # noqa: ARG002 - pybreaker's signature
        new_state: CircuitBreakerState,
    ) -> None:
        self._ejection.enter(new_state.name)
