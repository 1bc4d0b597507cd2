"""Leaving alone what is broken and costs nothing to leave: the gate in front of Redis."""

from __future__ import annotations

import logging
from contextlib import suppress
from weakref import ref

from pybreaker import (
    STATE_CLOSED,
    STATE_OPEN,
    CircuitBreaker,
    CircuitBreakerListener,
    CircuitBreakerState,
    CircuitMemoryStorage,
)

from gateway.core.clock import Clock
from gateway.core.gate import Gate, Pass
from gateway.core.telemetry import BreakerChanged, Silence, Telemetry
from resilience.settings import BreakerSettings

_log = logging.getLogger("edgeway.breaker")


class Circuit:
    """A gate whose probe is a real call: closed, open, or half-open with one probe.

    ``consecutive_5xx`` failures in a row open it, for the base ejection time multiplied by the number
    of ejections in a row (Envoy's outlier detection). Then one real request goes through as a probe:
    its success closes the circuit and forgets the ejections, its failure opens it for longer, and a
    probe that leaves without evidence makes room for the next.

    The states and their transitions are pybreaker's. Its open state reads the system's clock, so when
    to half-open is decided here, on the loop's; nothing is ever called through an open machine.

    All calls of one closed spell share a pass, and each probe has its own. So a call that was admitted
    before the circuit opened and ends late changes nothing. A probe's pass that was dropped without a
    report holds nobody up.
    """

    def __init__(self, name: str, settings: BreakerSettings, clock: Clock, telemetry: Telemetry) -> None:
        self.name = name
        self._base_s = settings.base_ejection_time_s
        self._max_s = settings.longest_s
        self._clock = clock
        self._telemetry = telemetry
        self._storage = CircuitMemoryStorage(STATE_CLOSED)
        self._machine = CircuitBreaker(
            fail_max=settings.consecutive_5xx,
            listeners=[_Listener(self)],
            state_storage=self._storage,
            name=name,
            throw_new_error_on_trip=False,
        )
        self._state = STATE_CLOSED
        self._ejections = 0
        self._reason = ""
        self._open_until = 0.0
        self._spell: _Pass | None = _Pass(self)
        self._probe: ref[_Pass] | None = None

    def __repr__(self) -> str:
        if self._state == STATE_CLOSED:
            detail = f"{self._storage.counter} of {self._machine.fail_max} failures"
        elif self._state == STATE_OPEN:
            detail = f"ejection {self._ejections}, until {self._open_until:.1f} s"
        else:
            detail = "probing" if self._has_probe() else "awaiting a probe"
        return f"<Circuit {self.name} {self._state}, {detail}>"

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half_open``."""
        return self._state.replace("-", "_")

    @property
    def is_available(self) -> bool:
        """Whether ``admit`` would let a call through now; asking changes nothing."""
        if self._state == STATE_CLOSED:
            return True
        if self._state == STATE_OPEN:
            return self._clock.now() >= self._open_until
        return not self._has_probe()

    def admit(self) -> Pass | None:
        """Return a pass if a call may go ahead now."""
        if self._spell is not None:
            return self._spell
        if not self.is_available:
            return None
        if self._state == STATE_OPEN:
            self._machine.half_open()
        probe = _Pass(self)
        self._probe = ref(probe)
        return probe

    def retire(self) -> None:
        """Report no more: another circuit may have the name now. Calls under way still end here."""
        self._telemetry = Silence()

    def take_success(self, pass_: _Pass) -> None:
        """The call of ``pass_`` proved that the endpoint works."""
        if pass_ is self._spell:
            if self._storage.counter:
                self._machine.call(_succeed)
        elif self._ends_probe(pass_):
            self._machine.call(_succeed)

    def take_failure(self, pass_: _Pass, reason: str) -> None:
        """The call of ``pass_`` is evidence against the endpoint."""
        self._reason = reason
        if pass_ is self._spell or self._ends_probe(pass_):
            with suppress(_EvidenceError):
                self._machine.call(_fail)

    def take_leave(self, pass_: _Pass) -> None:
        """The call of ``pass_`` ended without evidence."""
        self._ends_probe(pass_)

    def _has_probe(self) -> bool:
        return self._probe is not None and self._probe() is not None

    def _ends_probe(self, pass_: _Pass) -> bool:
        if self._probe is None or self._probe() is not pass_:
            return False
        self._probe = None
        return True

    def _enter(self, state: str) -> None:
        self._state = state
        self._spell = _Pass(self) if state == STATE_CLOSED else None
        if state == STATE_CLOSED:
            self._ejections = 0
        elif state == STATE_OPEN:
            self._ejections += 1
            ejection_s = min(self._base_s * self._ejections, self._max_s)
            self._open_until = self._clock.now() + ejection_s
        reason = "" if state == STATE_CLOSED else self._reason
        _log.warning("the circuit of %s is %s%s", self.name, self.state, f": {reason}" if reason else "")
        self._telemetry.emit(BreakerChanged(self.name, self.state, reason))


class _Pass:
    """What a circuit tells its calls apart by."""

    __slots__ = ("__weakref__", "_circuit")

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit

    def succeeded(self) -> None:
        self._circuit.take_success(self)

    def failed(self, reason: str = "") -> None:
        self._circuit.take_failure(self, reason)

    def left(self) -> None:
        self._circuit.take_leave(self)


class _EvidenceError(Exception):
    """What pybreaker is told of a failure."""


def _succeed() -> None: ...


def _fail() -> None:
    raise _EvidenceError


class _Listener(CircuitBreakerListener):
    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit

    def state_change(
        self,
        cb: CircuitBreaker,  # noqa: ARG002 - pybreaker's signature
        old_state: CircuitBreakerState | None,  # noqa: ARG002 - pybreaker's signature
        new_state: CircuitBreakerState,
    ) -> None:
        self._circuit._enter(new_state.name)  # noqa: SLF001 - the circuit's own ear


_: type[Gate] = Circuit
