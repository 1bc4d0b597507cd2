"""A circuit breaker for what can be done without while it is broken: the gate in front of Redis."""

from __future__ import annotations

import logging

from gateway.core.clock import Clock
from gateway.core.gate import Gate, Pass
from gateway.core.telemetry import BreakerChanged, Silence, Telemetry
from resilience.settings import BreakerSettings
from resilience.state_machine import CLOSED, OPEN, StateMachine, Ticket, Trial

_log = logging.getLogger("edgeway.breaker")


class Circuit:
    """A gate whose probe is a real call: closed, open, or half-open with one probe.

    ``consecutive_5xx`` failures in a row open it, for the base ejection time multiplied by the number
    of ejections in a row (Envoy's outlier detection). Then one real request goes through as a probe:
    its success closes the circuit and forgets the ejections, its failure opens it for longer, and a
    probe that leaves without evidence makes room for the next.

    All calls of one closed spell share a pass, and each probe has its own. So a call that was admitted
    before the circuit opened and ends late changes nothing. A probe's pass that was dropped without a
    report blocks no other.
    """

    def __init__(self, name: str, settings: BreakerSettings, clock: Clock, telemetry: Telemetry) -> None:
        self.name = name
        self._base_s = settings.base_ejection_time_s
        self._max_s = settings.longest_s
        self._clock = clock
        self._telemetry = telemetry
        self._machine = StateMachine(name, settings.consecutive_5xx, self._enter)
        self._ejections = 0
        self._reason = ""
        self._open_until = 0.0
        self._spell: _Pass | None = _Pass(self)
        self._probe = Trial()

    def __repr__(self) -> str:
        if self.state == CLOSED:
            detail = f"{self._machine.failures} of {self._machine.fail_max} failures"
        elif self.state == OPEN:
            detail = f"ejection {self._ejections}, until {self._open_until:.1f} s"
        else:
            detail = "probing" if self._probe.is_under_way else "awaiting a probe"
        return f"<Circuit {self.name} {self.state}, {detail}>"

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half_open``."""
        return self._machine.state

    @property
    def is_available(self) -> bool:
        """Whether ``admit`` would let a call through now; reading it changes nothing."""
        if self.state == CLOSED:
            return True
        if self.state == OPEN:
            return self._clock.now() >= self._open_until
        return not self._probe.is_under_way

    def admit(self) -> Pass | None:
        """Return a pass if a call may go ahead now."""
        if self._spell is not None:
            return self._spell
        if not self.is_available:
            return None
        if self.state == OPEN:
            self._machine.half_open()
        probe = _Pass(self)
        self._probe.begin(probe)
        return probe

    def retire(self) -> None:
        """Report no more: another circuit may have the name now. Calls under way still end here."""
        self._telemetry = Silence()

    def take_success(self, pass_: _Pass) -> None:
        """The call of ``pass_`` proved that the endpoint works."""
        if pass_ is self._spell:
            if self._machine.failures:
                self._machine.succeed()
        elif self._probe.ends(pass_):
            self._machine.succeed()

    def take_failure(self, pass_: _Pass, reason: str) -> None:
        """The call of ``pass_`` is evidence against the endpoint."""
        self._reason = reason
        if pass_ is self._spell or self._probe.ends(pass_):
            self._machine.fail()

    def take_leave(self, pass_: _Pass) -> None:
        """The call of ``pass_`` ended without evidence."""
        self._probe.ends(pass_)

    def _enter(self, _before: str, state: str) -> None:
        self._spell = _Pass(self) if state == CLOSED else None
        if state == CLOSED:
            self._ejections = 0
        elif state == OPEN:
            self._ejections += 1
            ejection_s = min(self._base_s * self._ejections, self._max_s)
            self._open_until = self._clock.now() + ejection_s
        reason = "" if state == CLOSED else self._reason
        _log.warning("the circuit of %s is %s%s", self.name, state, f": {reason}" if reason else "")
        self._telemetry.emit(BreakerChanged(self.name, state, reason))


class _Pass(Ticket):
    """The ticket of a call, with which the call reports to its circuit."""

    __slots__ = ("_circuit",)

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit

    def succeeded(self) -> None:
        self._circuit.take_success(self)

    def failed(self, reason: str = "") -> None:
        self._circuit.take_failure(self, reason)

    def left(self) -> None:
        self._circuit.take_leave(self)


_: type[Gate] = Circuit
