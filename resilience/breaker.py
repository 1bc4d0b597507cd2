"""Leaving a broken endpoint alone, and noticing when it is well again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

from pybreaker import (
    STATE_CLOSED,
    STATE_OPEN,
    CircuitBreaker,
    CircuitBreakerListener,
    CircuitBreakerState,
    CircuitMemoryStorage,
)

from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError
from gateway.core.gate import Gate
from gateway.core.request import Request, Response
from gateway.core.service import Filter, Service
from gateway.core.telemetry import BreakerChanged, Telemetry
from resilience.settings import BreakerSettings

PROOFS_OF_LIFE: Final = frozenset(
    {
        Fault.INVALID,
        Fault.UNAUTHENTICATED,
        Fault.FORBIDDEN,
        Fault.NOT_FOUND,
        Fault.TOO_LARGE,
        Fault.UNSUPPORTED,
    }
)
"""Faults that only an endpoint which works can find in a request. The other uncounted ones (our own
queue was full, the caller's time was up) say nothing about it."""


class Circuit:
    """The memory of one endpoint: closed, open, or half-open with one probe.

    ``consecutive_5xx`` failures in a row open it, for the base ejection time multiplied by the number
    of ejections in a row (Envoy's outlier detection). Then one real request goes through as a probe:
    its success closes the circuit and forgets the ejections, its failure opens it for longer, and a
    probe that leaves without evidence makes room for the next.

    The states and their transitions are pybreaker's. Its open state reads the system's clock, so when
    to half-open is decided here, on the loop's; nothing is ever called through an open machine.

    A call reports from the task in which it was admitted. That tells the probe from calls that were
    admitted before the circuit opened and end late; those change nothing. A probe whose task has ended
    without a report holds nobody up.
    """

    def __init__(self, name: str, settings: BreakerSettings, clock: Clock, telemetry: Telemetry) -> None:
        self.name = name
        self._base_s = settings.base_ejection_time_s
        self._max_s = settings.max_ejection_time_s
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
        self._open_until = 0.0
        self._is_probing = False
        self._prober: asyncio.Task[Any] | None = None

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

    def admit(self) -> bool:
        """Whether a call may go ahead. If so, exactly one of the three below follows."""
        if self._state == STATE_CLOSED:
            return True
        if not self.is_available:
            return False
        if self._state == STATE_OPEN:
            self._machine.half_open()
        self._is_probing = True
        self._prober = asyncio.current_task()
        return True

    def succeeded(self) -> None:
        """The call proved that the endpoint works."""
        if self._state == STATE_CLOSED:
            if self._storage.counter:
                self._machine.call(_succeed)
        elif self._ends_probe():
            self._machine.call(_succeed)

    def failed(self) -> None:
        """The call is evidence against the endpoint."""
        if self._state == STATE_CLOSED or self._ends_probe():
            with suppress(_EvidenceError):
                self._machine.call(_fail)

    def left(self) -> None:
        """The call ended without evidence."""
        if self._state != STATE_CLOSED:
            self._ends_probe()

    def _has_probe(self) -> bool:
        return self._is_probing and (self._prober is None or not self._prober.done())

    def _ends_probe(self) -> bool:
        if not self._is_probing or asyncio.current_task() is not self._prober:
            return False
        self._is_probing, self._prober = False, None
        return True

    def _enter(self, state: str) -> None:
        self._state = state
        if state == STATE_CLOSED:
            self._ejections = 0
        elif state == STATE_OPEN:
            self._ejections += 1
            ejection_s = min(self._base_s * self._ejections, self._max_s)
            self._open_until = self._clock.now() + ejection_s
        self._telemetry.emit(BreakerChanged(self.name, self.state))


class Breaker:
    """Refuses requests for an endpoint whose circuit is open, and tells the circuit how others ended."""

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit

    def __repr__(self) -> str:
        return f"<Breaker {self._circuit!r}>"

    async def __call__(self, request: Request, service: Service) -> Response:
        """Answer, unless the circuit is open.

        Raises:
            GatewayError: UNAVAILABLE, for another endpoint to try; it is no evidence against this one.
        """
        circuit = self._circuit
        if not circuit.admit():
            raise GatewayError(
                Fault.UNAVAILABLE,
                f"endpoint '{circuit.name}' is unavailable: its circuit breaker is {circuit.state}",
                retryable=True,
            )
        try:
            response = await service(request)
        except GatewayError as error:
            _report(error, circuit)
            raise
        except Exception:
            circuit.failed()
            raise
        except BaseException:
            circuit.left()
            raise
        circuit.succeeded()
        return response


def _report(error: GatewayError, gate: Gate) -> None:
    if error.counts:
        gate.failed()
    elif error.fault in PROOFS_OF_LIFE:
        gate.succeeded()
    else:
        gate.left()


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
_filter: type[Filter] = Breaker
