"""An endpoint in virtual time: how its calls end, and what its health check says."""

from __future__ import annotations

from random import Random
from typing import Any

from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError, Why
from gateway.core.request import Caller
from gateway.core.telemetry import Silence, Telemetry
from gateway.core.verdict import Verdict
from resilience.breaker import Breaker
from resilience.endpoint_health import EndpointHealth
from resilience.settings import BreakerSettings
from tests.fakes.service import ScriptedService, answer, request

REFUSED = Why("refused")
UNREADY = Why("not_ready", "loading", answered=True)


def silent(reason: str = "refused") -> GatewayError:
    return GatewayError(Fault.UNAVAILABLE, "down", retryable=True, counts=True, why=Why(reason))


def status(code: str = "503", detail: str = "backend 10.0.0.7 is gone") -> GatewayError:
    why = Why(code, detail, answered=True)
    return GatewayError(Fault.UNAVAILABLE, "down", retryable=True, counts=True, why=why)


def error_500(detail: str = "this input breaks the model") -> GatewayError:
    why = Why("500", detail, answered=True, of_model=True)
    return GatewayError(Fault.INTERNAL, "failed", counts=True, why=why)


class Peer:
    """``outcome``: how calls end, None well. ``verdict``: of the health check. Both may be changed."""

    def __init__(self, outcome: GatewayError | None = None, why: Why | None = None, *, last: bool) -> None:
        self.outcome, self.verdict, self.last = outcome, Verdict(why), last
        self.checks: list[float] = []
        self.renewed = 0
        self.moves: list[bool] = []

    async def check(self) -> Verdict:
        self.checks.append(LoopClock().now())
        return self.verdict

    def move(self) -> bool:
        return self.moves.pop(0) if self.moves else False

    def renew(self) -> None:
        self.renewed += 1

    def become(self, outcome: GatewayError | None, why: Why | None) -> None:
        self.outcome, self.verdict = outcome, Verdict(why)


class Guarded:
    """A peer behind its breaker."""

    def __init__(
        self, peer: Peer, telemetry: Telemetry | None = None, seed: int = 0, **settings: Any
    ) -> None:
        self.peer = peer
        self.health = EndpointHealth(
            "central",
            BreakerSettings(**settings),
            peer=peer,
            is_last=lambda: peer.last,
            clock=LoopClock(),
            chance=Random(seed),
            telemetry=telemetry or Silence(),
        )
        self.breaker = Breaker(self.health)

    async def ask(self, model: str = "digits", tenant: str = "acme") -> str:
        """One request; returns ``ok``, ``out`` when the breaker refuses, or the reason of the failure."""
        outcome = self.peer.outcome
        service = ScriptedService(answer() if outcome is None else outcome)
        try:
            await self.breaker(request(model=model, caller=Caller(tenant=tenant)), service)
        except GatewayError as error:
            if not service.requests:
                return "out"
            return error.why.reason if error.why else str(error.fault)
        return "ok"

    async def asks(self, count: int, **who: str) -> list[str]:
        return [await self.ask(**who) for _ in range(count)]
