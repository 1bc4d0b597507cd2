"""What generations are built of in tests: parts, endpoints, a builder, and the holder of what is in force."""

from __future__ import annotations

from pathlib import Path
from random import Random

from gateway.app.builder import Builder
from gateway.app.connector import Connector, MemberPlace
from gateway.app.endpoints import Endpoints, Site
from gateway.app.generation import Generation, InForce
from gateway.app.loading import Loaded
from gateway.app.observe import Observed
from gateway.app.parts import Parts
from gateway.app.pools.resolution import LookUp, look_up
from gateway.config.policy_file import parse_policy
from gateway.core.clock import Clock, LoopClock
from gateway.core.service import Filter
from gateway.core.telemetry import Silence, Telemetry
from gateway.upstreams.load import LoadObserver
from gateway.upstreams.upstream import Upstream
from resilience.admission import Seats
from resilience.budget import RetryBudget
from resilience.drain import Drain
from resilience.settings import ResilienceSettings
from routing.policy import Endpoint
from routing.residency import Locate
from tests.fakes.service import ScriptedService
from tests.resilience.peers import Peer


class FakeUpstream(ScriptedService):
    """What an endpoint's stack needs of an upstream, beside the answers."""

    refresh_s = 60.0
    problems: tuple[str, ...] = ()

    def __init__(self, *steps) -> None:
        super().__init__(*steps)
        peer = Peer(last=True)
        self.check, self.move, self.renew = peer.check, peer.move, peer.renew

    async def refresh(self) -> None: ...

    async def aclose(self) -> None: ...


class FakeConnector(Connector):
    """Has ``upstream`` for every endpoint."""

    __slots__ = ("upstream",)

    def __init__(self, upstream: FakeUpstream) -> None:
        super().__init__(LoopClock(), Random(1))
        object.__setattr__(self, "upstream", upstream)

    def connect(
        self,
        name: str,
        definition: Endpoint,
        member: MemberPlace | None = None,
        on_load: LoadObserver | None = None,
    ) -> Upstream:
        return self.upstream


class FailingObserved(Observed):
    """Makes building a stack fail while ``is_failing``."""

    def __init__(self) -> None:
        super().__init__(LoopClock(), Silence(), None)
        self.is_failing = False

    def span(self, name: str, *, outward: bool = False) -> tuple[Filter, ...]:
        if self.is_failing:
            raise KeyError("a bug while building")
        return super().span(name, outward=outward)


class Workshop:
    """Everything that a Builder needs, for region ``here``."""

    def __init__(
        self,
        settings: ResilienceSettings | None = None,
        *,
        telemetry: Telemetry | None = None,
        connector: Connector | None = None,
        look_up: LookUp = look_up,
        clock: Clock | None = None,
        locate: Locate = lambda _address: None,
        workers: int = 1,
    ) -> None:
        settings, telemetry = settings or ResilienceSettings(), telemetry or Silence()
        self.clock, self.in_force, self.observed = clock or LoopClock(), InForce(), FailingObserved()
        self.endpoints = Endpoints(
            settings,
            self.clock,
            telemetry,
            Observed(self.clock, telemetry, None),
            connector=connector or Connector(self.clock, Random(1)),
            in_use=self.in_force.endpoints,
            region="here",
            look_up=look_up,
            site=Site(workers=workers),
        )
        self.parts = Parts(
            region="here",
            clock=self.clock,
            chance=Random(1),
            telemetry=telemetry,
            observed=self.observed,
            resilience=settings,
            drain=Drain(),
            budget=RetryBudget(settings.retry_budget),
            seats=Seats(1024),
        )
        self.builder = Builder(self.parts, self.endpoints, None, locate, None)

    def build(self, text: str) -> Generation:
        """Build a generation that does not come into force."""
        policy = parse_policy(Path("policy.yaml"), text.encode(), "here")
        return self.builder.build(Loaded(policy, text.encode(), {}))

    def enforce(self, text: str) -> Generation:
        """Build a generation and put it in force."""
        generation = self.build(text)
        self.builder.after_swap(self.in_force.swap(generation), generation)
        return generation

    async def aclose(self) -> None:
        await self.endpoints.aclose()
