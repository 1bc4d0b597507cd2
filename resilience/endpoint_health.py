"""What the requests of one endpoint, and checks of its health, have shown: about it, and its models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from gateway.core.clock import Chance, Clock
from gateway.core.errors import Fault, GatewayError, Why
from gateway.core.request import Request
from gateway.core.telemetry import Telemetry
from gateway.core.verdict import Verdict
from resilience.active_check import ActiveCheck
from resilience.ejection import Ejection
from resilience.health_check import Check
from resilience.liveness import LivenessCheck
from resilience.outcomes import GATEWAY, LOCAL, Interval, Outcomes
from resilience.probing import Prober
from resilience.settings import BreakerSettings
from resilience.state_machine import Ticket

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
queue was full, the caller's time was up) are no proof of anything."""

_SEVERAL: Final = 2
_MAX_MODELS: Final = 256
_MAX_MOVES: Final = 3
"""So often in a row another address is taken for a failing one; then the name as a whole is out."""

_NO_REASON: Final = Why("error")


class Peer(Protocol):
    """The endpoint as its health sees it: what can be checked, and connected to anew."""

    async def check(self) -> Verdict:
        """Check whether it is ready."""
        ...

    def move(self) -> bool:
        """Leave the addresses in use for others of its name, if there are some worth trying."""
        ...

    def renew(self) -> None:
        """Leave the connections that are open: they may lead nowhere."""
        ...


class EndpointHealth:
    """Counts each failure against what has caused it: the endpoint, one model there, or neither.

    Transport failures, resets, timeouts that were ours, 502, 503 and 504 are the endpoint's: so many in a row
    put it out. A 500 may be the request's own fault. It is held against one model at this endpoint, which
    puts the model's requests elsewhere while there is an elsewhere, and refuses none. So many 500s in a row,
    of several models and of several tenants, put the endpoint out while others can take its requests; and so
    does a health check that fails after 500s, if nothing was served since. Where this is the only endpoint it
    serves on while its health checks succeed.

    A name with several addresses is several endpoints: before it is put out, it moves to those of which
    nothing is known. What its requests and the endpoint's other members' have come to is compared
    (``OutlierDetector``), and puts it out by ``eject``. ``is_last``: whether there are requests that no
    other endpoint can take now.
    """

    def __init__(
        self,
        name: str,
        settings: BreakerSettings,
        *,
        peer: Peer,
        is_last: Callable[[], bool],
        clock: Clock,
        chance: Chance,
        telemetry: Telemetry,
    ) -> None:
        self.name = name
        self._settings, self._peer, self._is_last = settings, peer, is_last
        self._clock, self._chance, self._telemetry = clock, chance, telemetry
        self._whole = Ejection(
            name, settings, chance, telemetry, opened=self._opened, is_spared=self._is_spared
        )
        self._outcomes = Outcomes(settings.outlier_detection)
        self._active = ActiveCheck(self._whole, peer.check, settings.health_check, clock=clock, chance=chance)
        self._prober = self._probe(self._whole, peer.check)
        self._liveness = LivenessCheck(self._whole, peer.check, settings, clock)
        self._models: dict[str, tuple[Ejection, Prober]] = {}
        self._errors = self._moves = self._successes = 0
        self._closed = False
        self._of_models: set[str] = set()
        self._of_tenants: set[str] = set()

    def __repr__(self) -> str:
        models = "".join(f" {ejection!r}" for ejection, _ in self._models.values() if not ejection.is_closed)
        return f"<EndpointHealth {self._whole!r}{models}>"

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half_open``."""
        return self._whole.state

    @property
    def failed_checks(self) -> int:
        """Health checks in a row that failed, or let in what failed again."""
        return self._whole.failed_checks

    @property
    def model_count(self) -> int:
        """Models against which something was held, and is still known."""
        return len(self._models)

    @property
    def is_available(self) -> bool:
        """Whether ``admit`` would let a call through now; reading it changes nothing."""
        return self._whole.admits

    @property
    def is_well(self) -> bool:
        """Whether it can take over for others: it is not out, not even for a trial."""
        return not self._whole.is_open

    def is_preferred(self, model: str) -> bool:
        """Whether the endpoint is available and ``model`` works there, as far as is known."""
        if not self._whole.admits:
            return False
        known = self._models.get(model) if self._models else None
        return known is None or not known[0].is_open

    def admit(self) -> Ticket | None:
        """Return the ticket of a call that may go ahead now."""
        return self._whole.admit()

    def refusal(self) -> GatewayError:
        """Return the error of a call that may not: for another endpoint to try, and no evidence."""
        why = self._whole.why
        because = f" ({why})" if why else ""
        return GatewayError(
            Fault.UNAVAILABLE,
            f"endpoint '{self.name}' is unavailable: its circuit breaker is {self.state}{because}",
            retryable=True,
            why=why,
            unsent=True,
        )

    def succeeded(self, ticket: Ticket, request: Request) -> None:
        """The call of ``ticket`` was answered."""
        self._whole.succeeded(ticket)
        self._outcomes.succeeded()
        self._liveness.answered()
        self._successes += 1
        if self._errors or self._moves:
            self._forget_errors()
            self._moves = 0
        if self._models and (known := self._models.get(request.model)):
            self._recover(known[0])

    def failed(self, ticket: Ticket, request: Request, error: GatewayError) -> None:
        """The call of ``ticket`` ended in ``error``."""
        if not error.counts:
            if error.fault in PROOFS_OF_LIFE and not error.unsent:
                self._liveness.answered()
                self._whole.succeeded(ticket)
            elif error.fault is Fault.DEADLINE and not error.unsent:
                self.unanswered(ticket)
            else:
                self._whole.left(ticket)
            return
        why = error.why or _NO_REASON
        if why.answered:
            self._liveness.answered()
        if why.of_model:
            self._blame_model(ticket, request, why)
        else:
            self._blame_whole(ticket, why)

    def left(self, ticket: Ticket) -> None:
        """The call of ``ticket`` ended without evidence."""
        self._whole.left(ticket)

    def unanswered(self, ticket: Ticket) -> None:
        """The call of ``ticket`` ended with its caller's time: no evidence, but many lead to a check."""
        self._whole.left(ticket)
        self._liveness.unanswered()

    def start(self) -> None:
        """Begin with the checks that the settings want of one that serves."""
        self._active.start()

    def interval(self) -> Interval:
        """Return how its calls ended since this was asked last."""
        return self._outcomes.take(self.name)

    def eject(self, why: Why, for_s: float) -> None:
        """Put it out, for so many seconds while others can take its requests."""
        self._whole.trip(why, self._clock.now() + for_s)

    def report(self) -> Mapping[str, Any]:
        """Return the state, and why, for operators: the other side's last error message unmasked."""
        models = {
            name: _report(ejection) for name, (ejection, _) in self._models.items() if not ejection.is_closed
        }
        return {**_report(self._whole), **({"models": models} if models else {})}

    @property
    def why(self) -> Why | None:
        """What was held against it last, while it is not closed."""
        return None if self._whole.is_closed else self._whole.why

    def retire(self) -> None:
        """Report no more: another endpoint may have the name now."""
        for ejection in (self._whole, *(ejection for ejection, _ in self._models.values())):
            ejection.retire()

    async def aclose(self) -> None:
        """Check no more, whatever calls under way still meet."""
        self._closed = True
        await self._liveness.aclose()
        await self._active.aclose()
        for prober in (self._prober, *[prober for _, prober in self._models.values()]):
            await prober.aclose()

    def _blame_model(self, ticket: Ticket, request: Request, why: Why) -> None:
        whole = self._whole
        if whole.is_open:
            # It can only be a trial, and it has failed.
            whole.failed(ticket, why)
        elif whole.is_closed or (whole.why and not whole.why.answered):
            # The endpoint answers again.
            whole.succeeded(ticket)
        ejection = self._ejection_of(request.model)
        if ejection is not None:
            ejection.failed(ejection.ticket, why)
        self._errors += 1
        if len(self._of_models) < _SEVERAL:
            self._of_models.add(request.model)
        if len(self._of_tenants) < _SEVERAL:
            self._of_tenants.add(request.caller.tenant)
        if self._errors >= self._settings.consecutive_5xx and self._agree() and not self._is_last():
            self._whole.trip(why)
            self._forget_errors()

    def _blame_whole(self, ticket: Ticket, why: Why) -> None:
        """Count it in a row: as Envoy does, by kind where that is split."""
        outlier = self._settings.outlier_detection
        kind = self._outcomes.failed(why)
        if outlier.split_external_local_origin_errors and not why.answered:
            if not self._whole.is_closed:
                self._whole.failed(ticket, why)
            elif kind == LOCAL and self._enforces(outlier.enforcing_consecutive_local_origin_failure):
                if not self._is_moved():
                    self._whole.trip(why)
            else:
                self._whole.left(ticket)
            return
        self._whole.failed(ticket, why)
        if kind == GATEWAY and self._enforces(outlier.enforcing_consecutive_gateway_failure):
            self._whole.trip(why)

    def _enforces(self, percent: float) -> bool:
        return percent >= 100 or self._chance.random() * 100 < percent

    def _opened(self) -> None:
        self._outcomes.restart()
        self._peer.renew()
        self._prober.start()

    def _is_spared(self) -> bool:
        if not self._enforces(self._settings.outlier_detection.enforcing_consecutive_5xx):
            return True
        return self._is_moved()

    def _is_moved(self) -> bool:
        if self._moves >= _MAX_MOVES or not self._peer.move():
            return False
        self._moves += 1
        return True

    def _agree(self) -> bool:
        return len(self._of_models) >= _SEVERAL and len(self._of_tenants) >= _SEVERAL

    def _forget_errors(self) -> None:
        self._errors = 0
        self._of_models.clear()
        self._of_tenants.clear()

    def _ejection_of(self, model: str) -> Ejection | None:
        known = self._models.get(model)
        if known is not None:
            return known[0]
        if len(self._models) >= _MAX_MODELS:
            # Clients may invent names: one that is not out makes room.
            idle = next((name for name, (_, prober) in self._models.items() if prober.is_idle), None)
            if idle is None:
                return None
            del self._models[idle]
        ejection = Ejection(self.name, self._settings, self._chance, self._telemetry, model=model)
        began = 0

        def opened() -> None:
            nonlocal began
            began = self._successes
            if not self._closed:
                prober.start()

        prober = self._probe(ejection, lambda: self._check_after_errors(began))
        ejection.opened = opened
        self._models[model] = (ejection, prober)
        return ejection

    def _probe(self, ejection: Ejection, check: Check) -> Prober:
        return Prober(
            ejection,
            check,
            self._is_last,
            self._settings.health_check,
            clock=self._clock,
            chance=self._chance,
        )

    def _recover(self, ejection: Ejection) -> None:
        if ejection.is_open:
            # No other endpoint could take its requests, so they went on, and one has succeeded.
            ejection.let_in()
        ejection.succeeded(ejection.ticket)

    async def _check_after_errors(self, successes: int) -> Verdict:
        """Check the endpoint's health for the sake of a model; one that fails may put the endpoint out.

        Where others were served since the model's requests began to fail, ``successes`` then, the endpoint
        serves, whatever its health check answers.
        """
        verdict = await self._peer.check()
        if verdict.why is not None and self._successes == successes:
            self._whole.trip(verdict.why)
        return verdict


def _report(ejection: Ejection) -> dict[str, Any]:
    why = ejection.why if not ejection.is_closed else None
    reason = {"reason": why.reason, "detail": why.detail} if why else {}
    return {"state": ejection.state, **reason}
