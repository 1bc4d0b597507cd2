"""Endpoints of several members in virtual time: what each answers, and where names lead."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

from msgspec.structs import replace

from gateway.app.connector import Connector, MemberPlace
from gateway.app.pools.listing import Name
from gateway.app.pools.member import PoolMember
from gateway.app.pools.pool import EndpointPool
from gateway.core.catalog import IndexEntry, ModelSpec, unknown_model
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request, Response
from gateway.core.telemetry import Silence, Telemetry
from gateway.core.verdict import Verdict
from gateway.upstreams.load import LoadObserver
from gateway.upstreams.upstream import Upstream
from resilience.settings import BreakerSettings, ResilienceSettings
from routing.policy import Endpoint
from tests.fakes.clock import VirtualClock
from tests.fakes.service import request
from tests.gateway.app.workshop import FakeUpstream, Workshop

POLICY = """\
generation: {generation}
regions: {{here: {{serves: [EU]}}, there: {{serves: [NA]}}}}
failover: {{here: [there], there: [here]}}
residency: {{anywhere: {{regions: ["*"]}}}}
tenants: {{anonymous: {{residency: anywhere}}}}
endpoints:
  central: {{tier: central, region: here, protocol: {protocol}, addresses: [{addresses}]{more}}}
  spare: {{tier: central, region: there, protocol: http, address: '127.0.0.1:99'}}
routes:
- {{name: all, endpoints: [central, spare], num_retries: {retries}}}
"""


def text(
    *addresses: str, generation: int = 1, more: str = "", retries: int = 3, protocol: str = "http"
) -> str:
    """A policy whose endpoint ``central`` has these ``addresses``; ``more`` are further fields of it."""
    return POLICY.format(
        generation=generation,
        addresses=", ".join(each if each.startswith("{") else f"'{each}'" for each in addresses),
        more=more and f", {more}",
        retries=retries,
        protocol=protocol,
    )


def three(**changes: Any) -> str:
    return text("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", **changes)


class Member(FakeUpstream):
    """A member that takes 2 ms, and whose health checks fail while its requests do.

    ``entries``: its index, or what asking for it raises; None: it hangs. ``held``: models and
    versions; it answers 404 for others. None: for none.
    """

    def __init__(self) -> None:
        super().__init__(0.002)
        self.check = self.look
        self.on_load: LoadObserver | None = None
        self.entries: Sequence[IndexEntry] | Exception | None = GatewayError(Fault.NOT_FOUND, "no index")
        self.indexed = 0
        self.held: set[tuple[str, str]] | None = None

    def hold(self, *models: str) -> None:
        """Hold these models, each NAME or NAME:VERSION, and list them."""
        parts = [model.partition(":") for model in models]
        pairs = [(name, version or "1") for name, _, version in parts]
        self.held = set(pairs)
        self.entries = [IndexEntry(*pair, "READY") for pair in pairs]

    async def index(self) -> Sequence[IndexEntry]:
        self.indexed += 1
        if self.entries is None:
            await asyncio.sleep(3600)
        if isinstance(self.entries, Exception):
            raise self.entries
        return self.entries or ()

    async def __call__(self, request: Request) -> Response:
        if self.held is not None and not any(
            model == request.model and request.version in {"", version} for model, version in self.held
        ):
            self.requests.append(request)
            raise unknown_model(request.model, request.version)
        try:
            response = await super().__call__(request)
            return replace(response, model=request.model, version=request.version or response.version)
        except GatewayError as error:
            if self.on_load is not None and error.why is not None and error.why.reason in {"429", "503"}:
                # As upstreams do.
                self.on_load.refused(error.retry_after_s)
            raise

    async def look(self) -> Verdict:
        step = self.steps[-1]
        return Verdict(step.why) if isinstance(step, GatewayError) else Verdict()

    async def describe(self, model: str, version: str) -> ModelSpec:
        raise GatewayError(Fault.UNAVAILABLE, "it has no metadata")


class Members(Connector):
    """Has one fake upstream per address, made when it is first connected to; ``closed`` are those that were."""

    __slots__ = ("closed", "upstreams")

    def __init__(self) -> None:
        super().__init__(LoopClock(), Random(1))
        object.__setattr__(self, "upstreams", {})
        object.__setattr__(self, "closed", [])

    def __getitem__(self, address: str) -> Member:
        if address not in self.upstreams:
            self.upstreams[address] = Member()
        return self.upstreams[address]

    def connect(
        self,
        name: str,
        definition: Endpoint,
        member: MemberPlace | None = None,
        on_load: LoadObserver | None = None,
    ) -> Upstream:
        assert member is not None
        address = f"{member.ip}:{member.address.rpartition(':')[2]}" if member.ip else member.address
        upstream, closed = self[address], self.closed
        upstream.on_load = on_load

        async def aclose() -> None:
            closed.append(address)

        upstream.aclose = aclose
        return upstream

    def calls(self, *addresses: str) -> list[int]:
        """How many requests each of ``addresses`` has got."""
        return [len(self[address].requests) for address in addresses]


class Resolver:
    """Where names lead: lists of addresses, or an error; ``asked`` counts the look-ups."""

    def __init__(self, **answers: Sequence[str] | OSError) -> None:
        self.answers: dict[str, Sequence[str] | OSError] = dict(answers)
        self.asked = 0
        self.delay_s = 0.0

    async def __call__(self, name: Name) -> Sequence[str]:
        self.asked += 1
        await asyncio.sleep(self.delay_s)
        answer = self.answers.get(name.host, OSError("no such name"))
        if isinstance(answer, OSError):
            raise answer
        return answer


class Scene:
    """An edge gateway whose endpoint ``central`` has several members."""

    def __init__(
        self,
        resolver: Resolver | None = None,
        *,
        telemetry: Telemetry | None = None,
        failures: int = 2,
        workers: int = 1,
    ) -> None:
        self.members = Members()
        self.workshop = Workshop(
            ResilienceSettings(breaker=BreakerSettings(consecutive_5xx=failures, base_ejection_time_s=1.0)),
            telemetry=telemetry or Silence(),
            connector=self.members,
            look_up=resolver or Resolver(),
            clock=VirtualClock(),
            workers=workers,
        )

    def enforce(self, policy: str) -> EndpointPool:
        """Put a policy in force; return its pool ``central``."""
        return self.workshop.enforce(policy).endpoints.by_name["central"]

    async def ask(self, **changes: Any) -> Response:
        """Send a request as a listener would, through all filters."""
        deadline = asyncio.get_running_loop().time() + 10
        response: Response = await self.workshop.in_force.current()(request(deadline=deadline, **changes))
        return response

    async def aclose(self) -> None:
        await self.workshop.aclose()


def member(pool: EndpointPool, name: str) -> PoolMember:
    """The member of that name."""
    return next(each for each in pool.members if each.name == name)


def names(pool: EndpointPool) -> list[str]:
    return [each.name for each in pool.members]
