"""Whether one endpoint, or one model at it, is left out, and why."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gateway.core.clock import Chance
from gateway.core.errors import Why
from gateway.core.telemetry import BreakerChanged, Silence, Telemetry
from resilience.health_check import doubled_s, jittered_s
from resilience.settings import BreakerSettings
from resilience.state_machine import CLOSED, HALF_OPEN, OPEN, StateMachine, Ticket, Trial

_log = logging.getLogger("edgeway.breaker")


class Ejection:
    """Closed, open, or half-open.

    ``consecutive_5xx`` failures in a row open it. A Prober checks the health of what is out:
    ``let_in`` makes it half-open, which admits all calls; then a success of a call closes it, and a failure
    opens it again. So what is let in by a health check that knows nothing is out again at once, for twice as
    long. A call that was admitted before the last change of state and ends late changes nothing.

    Args:
        endpoint: its name.
        model: of which alone this is; empty for the whole endpoint.
        settings: how many failures, and how long.
        chance: draws the waits.
        telemetry: gets ``BreakerChanged``.
        opened: called when it opens.
        is_spared: called before failures in a row open it: whether something else takes its place.
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
        self._machine = StateMachine(endpoint, settings.consecutive_5xx, self._enter)
        self.failed_checks = 0
        """Health checks in a row that failed, or let in what failed again."""
        self._offers_trial = False
        self._trial = Trial()
        self.why: Why | None = None
        """What was held against it last; None once a call has succeeded."""
        self.held_until = 0.0
        """Clock time until which it stays out while others can take its requests, whatever its checks say."""
        self.ticket = Ticket()
        """Of the calls that are admitted in this spell."""

    def __repr__(self) -> str:
        name = f"{self.endpoint}/{self.model}" if self.model else self.endpoint
        if self.is_closed:
            detail = f"{self._machine.failures} of {self._machine.fail_max} failures"
        else:
            detail = f"{self.why.reason if self.why else 'unknown'}, {self.failed_checks} checks failed"
        return f"<Ejection {name} {self.state}, {detail}>"

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half_open``."""
        return self._machine.state

    @property
    def is_open(self) -> bool:
        """Whether it is out."""
        return self._machine.state == OPEN

    @property
    def is_closed(self) -> bool:
        """Whether nothing is held against it that could put it out."""
        return self._machine.state == CLOSED

    @property
    def admits(self) -> bool:
        """Whether ``admit`` would let a call through now; reading it changes nothing."""
        return not self.is_open or (self._offers_trial and not self._trial.is_under_way)

    def admit(self) -> Ticket | None:
        """Return the ticket of a call that may go ahead now."""
        if not self.is_open:
            return self.ticket
        if not self.admits:
            return None
        self._offers_trial = False
        trial = Ticket()
        self._trial.begin(trial)
        return trial

    def succeeded(self, ticket: Ticket) -> None:
        """The call of ``ticket`` proved that the other side works."""
        if ticket is self.ticket and not self.is_open:
            if self._machine.failures or self._machine.state == HALF_OPEN:
                self._machine.succeed()
        elif self._trial.ends(ticket):
            self._machine.half_open()
            self._machine.succeed()

    def failed(self, ticket: Ticket, why: Why) -> None:
        """The call of ``ticket`` is evidence against it."""
        if ticket is self.ticket and not self.is_open:
            self.why = why
            self._count()
        elif self._trial.ends(ticket):
            self.why = why

    def left(self, ticket: Ticket) -> None:
        """The call of ``ticket`` ended without evidence."""
        if self._trial.ends(ticket):
            self._offers_trial = True

    def trip(self, why: Why, held_until: float = 0.0) -> None:
        """Put it out now, until the clock says ``held_until`` at least."""
        if not self.is_open:
            self.why, self.held_until = why, held_until
            self._machine.open()

    def let_in(self) -> None:
        """Take it in again: its health check says that it is well."""
        if self.is_open:
            self._machine.half_open()

    def stays_out(self, why: Why, *, offers_trial: bool) -> None:
        """Take note of a health check that failed; ``offers_trial`` lets one call through all the same."""
        if not self.is_open:
            # A trial has closed it while its health was being checked.
            return
        if not self.model:
            # A check speaks of the endpoint; what is held against a model is what its requests met.
            self.why = why
        self.failed_checks += 1
        self._offers_trial = offers_trial

    def wait_s(self) -> float:
        """Draw the seconds from one health check to the next."""
        settings = self._settings
        wait_s = doubled_s(settings.base_ejection_time_s, self.failed_checks, settings.longest_s)
        return jittered_s(wait_s, self._chance)

    def retire(self) -> None:
        """Report no more: another one may have the name now. Calls under way still end here."""
        self._telemetry = Silence()

    def _count(self) -> None:
        is_last_straw = self._machine.failures + 1 >= self._machine.fail_max
        if is_last_straw and self.is_closed and self._is_spared():
            # What comes now goes to something else, and what is still under way no more counts.
            self._machine.succeed()
            self.ticket = Ticket()
            return
        self._machine.fail()

    def _enter(self, before: str, state: str) -> None:
        if state == OPEN and before == HALF_OPEN:
            # The health check did not see what fails: the next one comes later.
            self.failed_checks += 1
        self.ticket = Ticket()
        self._offers_trial = False
        self._trial.forget()
        if state != OPEN:
            self.held_until = 0.0
        if state == CLOSED:
            self.failed_checks, self.why = 0, None
        reason = self.why.reason if self.why else ""
        # The first time and the last: what is let in and fails may do so for hours.
        is_news = state == CLOSED or not self.failed_checks
        level = logging.WARNING if is_news else logging.DEBUG
        _log.log(level, "%s is %s%s", self._name, state, f": {self.why}" if self.why else "")
        self._telemetry.emit(BreakerChanged(self.endpoint, state, reason, self.model))
        if state == OPEN:
            self.opened()

    @property
    def _name(self) -> str:
        model = f" for model {self.model}" if self.model else ""
        return f"the circuit of {self.endpoint}{model}"
