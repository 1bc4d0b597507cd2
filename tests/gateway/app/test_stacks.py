"""The assembled stacks: that each layer is there, where it has to be, with what it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from cache.levels.memory import MemoryLevel, MemorySettings
from cache.settings import CacheSettings
from edge_models.licence import Artefacts, Licence
from gateway.app.endpoint_set import NO_ENDPOINTS
from gateway.app.observe import Observed
from gateway.app.parts import CacheParts, Parts, RouteEdgeModel
from gateway.app.stacks import central_stack, route_stack, shared_stack
from gateway.config.policy_file import load_policy
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller, Request, Response
from gateway.core.service import Service
from gateway.core.stack import LayerReport, Stack
from resilience.admission import Seats
from resilience.budget import RetryBudget
from resilience.drain import Drain
from resilience.settings import AdmissionSettings, ResilienceSettings
from routing.policy import Policy, Route
from routing.tenants import identify
from tests.edge_models.decisions import decision
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time
from tests.gateway.policies import GOOD, write_policy

CENTRAL, OTHER, EDGE = (f"sha256:{letter * 64}" for letter in "abc")
POLICY = (
    GOOD.replace("  exile:", "  first: {residency: anywhere}\n  second: {residency: anywhere}\n  exile:")
    .replace(
        "endpoints:\n",
        "endpoints:\n  there: {tier: edge, region: there, protocol: grpc, address: '127.0.0.1:9'}\n",
        1,
    )
    .replace("endpoints: [central]", "endpoints: [central, there]")
)


def routes_of(policy: Policy) -> dict[str, Route]:
    """Variants of one route; a policy would let no request through to any but the first."""
    digits = replace(policy.routes[0], digest=CENTRAL, timeout_ms=4000, endpoints=("central",))
    return {
        "digits": digits,
        "same": replace(digits, name="same", timeout_ms=None),
        "other": replace(digits, name="other", digest=OTHER),
        "plain": replace(digits, name="plain", cascade=None),
        "far": replace(digits, name="far", cascade=None, endpoints=("there",)),
    }


class Gateway:
    """The stacks of one policy over endpoints that follow a script; all routes share levels and parts."""

    def __init__(
        self,
        folder: Path,
        *,
        cache: CacheSettings | None = None,
        resilience: ResilienceSettings | None = None,
    ) -> None:
        self.policy: Policy = load_policy(write_policy(folder, POLICY))[0]
        self.telemetry = RecordingTelemetry()
        resilience = resilience or ResilienceSettings()
        self.parts = Parts(
            region="here",
            clock=LoopClock(),
            chance=Random(1),
            telemetry=self.telemetry,
            observed=Observed(LoopClock(), self.telemetry, None),
            resilience=resilience,
            drain=Drain(),
            budget=RetryBudget(resilience.retry_budget),
            seats=Seats(resilience.admission.max_requests),
        )
        settings = cache or CacheSettings()
        memory = MemoryLevel(MemorySettings(), telemetry=self.telemetry)
        self.cache = CacheParts(settings, (memory,), "avx2")
        self.central = ScriptedService(answer(digest=CENTRAL))
        self.there: Service = ScriptedService(answer(digest=CENTRAL))
        self.edge = ScriptedService(answer("edge", 1.0, digest=EDGE))
        self.licence = self.new_licence()
        self.routes = routes_of(self.policy)

    def new_licence(self) -> Licence:
        return Licence(
            "digits",
            decision=decision(),
            threshold=0.5,
            artefacts=Artefacts(EDGE, CENTRAL),
            proof="certificate",
            telemetry=self.telemetry,
            now=float,
        )

    def is_available(self, _endpoint: str) -> bool:
        return True

    def is_preferred(self, _endpoint: str, _model: str) -> bool:
        return True

    def has_untried(self, endpoint: str, tried: Collection[str], model: str = "", version: str = "") -> bool:
        return False

    def can_continue(self, _endpoint: str) -> bool:
        return True

    def why(self, _endpoint: str) -> str:
        return ""

    def lacking(self, _model: str, _version: str) -> frozenset[str]:
        return frozenset()

    def holds(self, _endpoint: str, _model: str, _version: str) -> bool:
        return False

    def is_full(self, _endpoint: str) -> bool:
        return False

    def route(self, name: str) -> Stack:
        route = self.routes[name]
        return route_stack(
            self.parts,
            self.policy,
            route,
            locate=lambda _address: None,
            endpoints={"central": self.central, "there": self._call_there},
            view=self,
            known=NO_ENDPOINTS,
            cache=self.cache,
            edge=RouteEdgeModel("digits", self.edge, self.licence, EDGE),
        )

    async def _call_there(self, forwarded: Request) -> Response:
        return await self.there(forwarded)

    def whole(self, service: Service) -> Stack:
        return shared_stack(self.parts, self.policy, service, identify(self.policy, lambda _address: None))


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


def unsure() -> Response:
    """An edge answer that its licence does not cover."""
    return answer("edge", 0.1, digest=EDGE)


def ask(value: float = 1.0, tenant: str = "anonymous", **changes: Any) -> Request:
    return request(value, caller=Caller(tenant=tenant), **changes)


@pytest.mark.parametrize(
    ("name", "level"),
    [("same", "l1"), ("other", ""), ("plain", "")],
    ids=["the same artefacts", "another central artefact", "no cascade"],
)
async def test_answers_are_shared_by_artefact(gateway: Gateway, name: str, level: str) -> None:
    """Routes share answers exactly where the same artefacts, trusted with the same, would give them."""
    await gateway.route("digits")(ask())

    response = await gateway.route(name)(ask())

    assert response.provenance.level == level


@pytest.mark.parametrize(("scope", "level"), [("tenant", ""), ("residency", "l1")])
async def test_scope_says_who_shares_answers(tmp_path: Path, scope: Any, level: str) -> None:
    """Two tenants of one residency class share answers only where the operator says so."""
    gateway = Gateway(tmp_path, cache=CacheSettings(scope=scope))
    serve = gateway.route("digits")
    await serve(ask(tenant="first"))

    assert (await serve(ask(tenant="second"))).provenance.level == level
    assert (await serve(ask(tenant="first"))).provenance.level == "l1"


async def test_a_refused_certificate_ends_what_was_kept_under_it(gateway: Gateway) -> None:
    """Central turns out to serve another model: the edge's cached answers are not certified any more."""
    serve = gateway.route("digits")
    kept = await serve(ask())
    gateway.edge.steps.append(unsure())
    gateway.central.steps = [answer("central", digest=OTHER)]
    await serve(ask(2.0))

    response = await serve(ask())

    assert (kept.provenance.origin, kept.provenance.certified) == ("edge", True)
    assert response.provenance.origin == "central"
    assert not gateway.licence.is_valid()


@virtual_time
async def test_gateways_that_ask_each_other_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """A forwarded request does not join the flight that waits for it, and goes to no third gateway."""
    gateway = Gateway(tmp_path)
    serve = gateway.route("far")

    async def there(forwarded: Request) -> Response:
        return await serve(replace(forwarded, hops=forwarded.hops + 1))

    gateway.there = there

    with pytest.raises(GatewayError, match="no endpoint of route 'far'") as caught:
        await serve(ask())

    assert caught.value.fault is Fault.UNAVAILABLE
    assert asyncio.get_running_loop().time() == 1000.0


@virtual_time
async def test_a_narrowed_request_flies_alone(tmp_path: Path) -> None:
    """Equal requests of which one may go to fewer regions are two: the wider flight is not for it."""
    gateway = Gateway(tmp_path)
    serve = gateway.route("plain")
    gateway.central.steps = [HANG]
    wide = asyncio.create_task(serve(ask()))
    await asyncio.sleep(0)

    with pytest.raises(GatewayError, match="lies in an allowed region"):
        await serve(ask(regions=frozenset({"here"})))
    gateway.central.release()

    assert (await wide).provenance.origin == "central"
    assert len(gateway.central.requests) == 1


@virtual_time
async def test_what_is_under_way_is_waited_for(tmp_path: Path) -> None:
    """Drain stands above all that can wait: a process that leaves finishes what it let in."""
    gateway = Gateway(tmp_path)
    serve = gateway.whole(gateway.route("plain"))
    gateway.central.steps = [HANG]
    running = asyncio.create_task(serve(ask()))
    await asyncio.sleep(0)

    gateway.parts.drain.begin()
    is_finished = await gateway.parts.drain.finished(1.0)
    gateway.central.release()
    await running

    assert not is_finished
    assert await gateway.parts.drain.finished(1.0)


@virtual_time
async def test_flights_are_known_to_who_closes_them(tmp_path: Path) -> None:
    """A flight outlives its callers' interest at most until the process leaves."""
    gateway = Gateway(tmp_path)
    serve = gateway.route("plain")
    gateway.central.steps = [HANG]
    running = asyncio.create_task(serve(ask()))
    await asyncio.sleep(0)

    await gateway.cache.close_flights()

    with pytest.raises(GatewayError, match="stopping"):
        await running
    assert gateway.central.running == 0


@virtual_time
async def test_the_route_bounds_what_a_caller_may_ask_for(tmp_path: Path) -> None:
    """A route's timeout is for the whole request, whatever deadline the caller names."""
    gateway = Gateway(tmp_path)
    gateway.edge.steps = [unsure()]
    gateway.central.steps = [HANG]

    response = await gateway.route("digits")(ask(deadline=1000 + 60))

    assert asyncio.get_running_loop().time() == pytest.approx(1004, abs=0.1)
    assert not response.provenance.certified


@virtual_time
async def test_two_generations_share_the_seats(tmp_path: Path) -> None:
    """A reload in the middle of a rush does not let twice as many in."""
    gateway = Gateway(tmp_path, resilience=ResilienceSettings(admission=AdmissionSettings(max_requests=1)))
    gateway.central.steps = [HANG]
    old, new = (gateway.whole(gateway.route("plain")) for _ in range(2))
    running = asyncio.create_task(old(ask()))
    await asyncio.sleep(0)

    with pytest.raises(GatewayError) as caught:
        await new(ask(2.0))
    gateway.central.release()
    await running

    assert caught.value.fault is Fault.OVERLOADED


def roles(reports: tuple[LayerReport, ...]) -> list[str]:
    return [report.role for report in reports]


def test_the_list_of_a_route(gateway: Gateway) -> None:
    """Each layer is listed once, outermost first, and the branches beside it."""
    report = gateway.route("digits").report()

    assert roles(report) == [
        "residency",
        "deadline",
        "cache look-up",
        "single flight",
        "cache fill",
        "cascade",
        "retry",
        "router",
    ]
    assert {name: roles(branch) for name, branch in report[0].branches.items()} == {
        "abroad": ["deadline", "retry", "router"]
    }
    assert {name: roles(branch) for name, branch in report[5].branches.items()} == {
        "edge model": ["edge model"]
    }
    assert report[5].observers == ("<Timed cascade>",)


def test_a_layer_that_a_route_does_not_use_is_not_listed(gateway: Gateway) -> None:
    """Without a cascade, retries or digests there are no such layers."""
    routes = routes_of(gateway.policy)
    bare = replace(routes["plain"], num_retries=0, digest=None)
    gateway.routes["bare"] = bare

    assert roles(gateway.route("bare").report()) == ["residency", "deadline", "router"]


def test_every_filter_shows_its_state_and_has_a_reason(gateway: Gateway) -> None:
    """No layer is shown by its address in memory, and each says why it stands where it stands."""
    model = ScriptedService()
    reports = [
        *gateway.whole(gateway.route("digits")).report(),
        *gateway.route("digits").report(),
        *central_stack(gateway.parts, model).report(),
    ]
    reports += [inner for report in reports for branch in report.branches.values() for inner in branch]

    assert roles(gateway.whole(model).report()) == ["provenance", "measure", "drain", "admission", "routes"]
    assert roles(central_stack(gateway.parts, model).report()) == ["deadline", "models"]
    for report in reports:
        for shown in (report.filter, *report.observers):
            assert " object at 0x" not in shown
        assert report.reason or report.role == "routes"
