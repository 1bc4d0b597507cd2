"""Tells a member's load of the requests that it gets: what choosing goes by."""

from __future__ import annotations

from gateway.core.clock import Clock
from gateway.core.errors import GatewayError
from gateway.core.request import Request, Response
from gateway.core.service import Filter, Service


class MemberLoad:
    """How many requests are under way at a member, and how long they take."""

    __slots__ = ("_clock", "active", "failures", "latency_s", "name", "requests", "weight", "zone")

    def __init__(self, name: str, clock: Clock, *, weight: float = 1.0, zone: str = "") -> None:
        self.name, self.weight, self.zone, self._clock = name, weight, zone, clock
        self.active = self.requests = self.failures = 0
        self.latency_s = 0.0

    def __repr__(self) -> str:
        return f"<MemberLoad {self.name} {1000 * self.latency_s:.1f} ms, {self.active} under way>"

    @property
    def cost(self) -> float:
        """What one more request costs there."""
        return (self.latency_s + 1e-6) * (self.active + 1) / self.weight

    def warm_up(self) -> None:
        """It is new, or well again."""

    def started(self) -> float:
        """Count a request, and return when it began."""
        self.active += 1
        return self._clock.tick()

    def ended(self, started_s: float, *, is_answered: bool) -> None:
        """Count that it has ended."""
        self.active -= 1
        took = self._clock.tick() - started_s
        if is_answered or took > self.latency_s:
            # Peaks count at once, better times little by little.
            last = self.latency_s
            self.latency_s = took if took > last else last + 0.1 * (took - last)


class LoadMeter:
    """Counts the requests under way at a member, and measures how long they take.

    The wait for a place of our own (Bulkhead) is measured as well: it is what one more request would wait.
    """

    def __init__(self, load: MemberLoad) -> None:
        self._load = load
        self.requests = self.failures = 0

    def __repr__(self) -> str:
        return f"<LoadMeter {self._load!r}, {self.failures} of {self.requests} failed>"

    async def __call__(self, request: Request, service: Service) -> Response:
        """Answer as the member does."""
        load = self._load
        self.requests += 1
        began, is_answered = load.started(), False
        try:
            response = await service(request)
            is_answered = True
        except GatewayError:
            self.failures += 1
            raise
        finally:
            load.ended(began, is_answered=is_answered)
        return response


_: type[Filter] = LoadMeter
