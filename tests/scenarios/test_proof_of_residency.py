"""Residency over whole policies: nothing that happens sends a request to a region outside its class.

The policies are random, and so is what happens: members fail in every way, come back, are drained; they load
and unload models, and what they list may be another thing than what they hold; copies of what was answered go
to shadows; the policy is replaced by one in which the same names stand for other regions. Behind the real
stack, Router and pools only the wire is missing. Which regions a request may reach is decided by
``random_policies.allowed``.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from random import Random
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.app.connector import Connector, MemberPlace
from gateway.app.generation import Generation
from gateway.core.catalog import IndexEntry, unknown_model
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import SEQUENCE, SEQUENCE_END, SEQUENCE_START, Caller, Request, Response
from gateway.core.verdict import Verdict
from gateway.upstreams.load import LoadObserver
from gateway.upstreams.upstream import Upstream
from resilience.settings import BreakerSettings, ResilienceSettings, RetrySettings
from routing.endpoint import Endpoint
from tests.fakes.clock import VirtualClock
from tests.fakes.service import answer, request
from tests.fakes.virtual_time import VirtualLoop
from tests.gateway.app.workshop import FakeUpstream, Workshop
from tests.resilience.peers import error_500, silent, status
from tests.routing.random_policies import HERE, MODELS, PLACES, SHADOW, TENANTS, allowed, policies

EXAMPLES: Final = 60
STEPS: Final = 25
WELL, HANGS = "well", "hangs"
FAILURES: Final = {"refused": silent(), "503": status("503"), "429": status("429"), "500": error_500()}
STATES: Final = (WELL, WELL, HANGS, *FAILURES)

_asks = st.tuples(
    st.just("ask"),
    st.sampled_from(MODELS),
    st.sampled_from(TENANTS),
    st.sampled_from(tuple(PLACES)),
    st.integers(0, 1),
    st.sampled_from((None, None, None, "start", "step", "end")),
)
_numbers = st.tuples(st.integers(0, 4), st.integers(1, 3))
_held = st.one_of(st.none(), st.frozensets(st.sampled_from(MODELS)))
_steps = st.one_of(
    _asks,
    _asks,
    _asks,
    st.tuples(st.just("burst"), st.sampled_from(MODELS), st.sampled_from(TENANTS)),
    st.tuples(st.just("become"), _numbers, st.sampled_from(STATES)),
    st.tuples(st.just("hold"), _numbers, _held, _held),
    st.tuples(st.just("drain"), _numbers, st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from((0.0, 0.01, 0.3, 2.0, 15.0))),
    st.tuples(st.just("reload")),
)


class World:
    """A gateway of region ``here``, endpoints that do as they are told, and all that reached a member."""

    def __init__(self, policy: dict[str, Any], other: dict[str, Any]) -> None:
        self.states: dict[str, str] = {}
        self.listed: dict[str, frozenset[str] | None] = {}
        self.held: dict[str, frozenset[str] | None] = {}
        """Address of a member → the models that it says it has, and has; None: no index, and all of them."""
        self.reached: list[tuple[str, str]] = []
        """Id of a request, and the region that it reached."""
        self.copies: list[str] = []
        """Ids of requests of which a copy has reached somebody."""
        self.refused_drain: list[str] = []
        self.may_reach: dict[str, frozenset[str]] = {}
        self.forwarded: set[str] = set()
        self._policies = [policy, other]
        self._tasks: list[asyncio.Task[None]] = []
        self.workshop = Workshop(
            ResilienceSettings(
                breaker=BreakerSettings(consecutive_5xx=2), retry=RetrySettings(per_try_timeout_ms=500)
            ),
            connector=_Wires(self),
            clock=VirtualClock(),
            locate=PLACES.__getitem__,
        )
        self._enforce()

    def _enforce(self) -> None:
        self.workshop.enforce(json.dumps(self._policies[0]))

    async def play(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("ask", *how):
                self._ask(*how)
            case ("burst", model, tenant):
                for address in PLACES:
                    for _ in range(4):
                        self._ask(model, tenant, address, 0, None)
                await asyncio.sleep(0.05)
            case ("become", (endpoint, number), state):
                self.states[f"10.0.{endpoint}.{number}:80"] = state
            case ("hold", (endpoint, number), listed, held):
                address = f"10.0.{endpoint}.{number}:80"
                self.listed[address], self.held[address] = listed, held
            case ("drain", (endpoint, number), is_whole):
                name = f"e{endpoint}" if is_whole else f"e{endpoint}/10.0.{endpoint}.{number}:80"
                drained = self.workshop.endpoints.drained
                (drained.undrain if name in drained else drained.drain)(name)
            case ("wait", seconds):
                await asyncio.sleep(seconds)
            case ("reload",):
                self._policies.reverse()
                generation = self._policies[1]["generation"] + 1
                self._policies[0] = self._policies[0] | {"generation": generation}
                self._enforce()

    def _ask(self, model: str, tenant: str, address: str, hops: int, step: str | None) -> None:
        number = str(len(self._tasks))
        self.may_reach[number] = allowed(self._policies[0], tenant, address)
        if hops:
            self.forwarded.add(number)
        flags = {"start": {SEQUENCE_START: True}, "end": {SEQUENCE_END: True}}
        parameters = {} if step is None else {SEQUENCE: 7, **flags.get(step, {})}
        caller = Caller(address, tenant, vouched=True)
        deadline = asyncio.get_running_loop().time() + 5
        asked = request(
            id=number, model=model, caller=caller, hops=hops, parameters=parameters, deadline=deadline
        )
        # A listener calls at once what is in force; here the policy may change before the task begins.
        self._tasks.append(asyncio.create_task(self._send(self.workshop.in_force.current(), asked)))

    async def _send(self, service: Generation, asked: Request) -> None:
        with suppress(GatewayError):
            await service(asked)

    async def aclose(self) -> None:
        await asyncio.gather(*self._tasks)
        await self.workshop.aclose()

    @property
    def strays(self) -> list[tuple[str, str]]:
        """Requests that reached a region outside their class."""
        return [(number, region) for number, region in self.reached if region not in self.may_reach[number]]

    @property
    def lent(self) -> list[str]:
        """Requests of which a copy was made though they were another gateway's, or might not stay here."""
        return [
            number for number in self.copies if number in self.forwarded or HERE not in self.may_reach[number]
        ]


class _Wires(Connector):
    __slots__ = ("world",)

    def __init__(self, world: World) -> None:
        super().__init__(LoopClock(), Random(1))
        object.__setattr__(self, "world", world)

    def connect(
        self,
        name: str,
        definition: Endpoint,
        member: MemberPlace | None = None,
        on_load: LoadObserver | None = None,
    ) -> Upstream:
        address = member.address if member is not None else definition.address
        return _Wire(self.world, name, definition.region, address)


class _Wire(FakeUpstream):
    """A member that notes what reaches it, and for which region it stands."""

    def __init__(self, world: World, name: str, region: str, address: str) -> None:
        super().__init__()
        self._world, self._name, self._region, self._address = world, name, region, address
        self.check = self.look

    async def look(self) -> Verdict:
        state = self._world.states.get(self._address, WELL)
        return Verdict(FAILURES[state].why) if state in FAILURES else Verdict()

    async def __call__(self, asked: Request) -> Response:
        world = self._world
        world.reached.append((asked.id, self._region))
        if asked.version == SHADOW:
            world.copies.append(asked.id)
        labels = {self._name, f"{self._name}/{self._address}"}
        if not asked.parameters and labels & world.workshop.endpoints.drained.names:
            world.refused_drain.append(asked.id)
        await asyncio.sleep(0.002)
        state = world.states.get(self._address, WELL)
        if state in FAILURES:
            raise FAILURES[state]
        if state == HANGS:
            await asyncio.sleep(3600)
        held = world.held.get(self._address)
        if held is not None and asked.model not in held:
            raise unknown_model(asked.model)
        return replace(answer(), model=asked.model, version=asked.version)

    async def index(self) -> list[IndexEntry]:
        state = self._world.states.get(self._address, WELL)
        if state in FAILURES:
            raise FAILURES[state]
        if state == HANGS:
            await asyncio.sleep(3600)
        listed = self._world.listed.get(self._address)
        if listed is None:
            raise GatewayError(Fault.UNSUPPORTED, "no index")
        return [IndexEntry(model, "1", "READY") for model in listed]

    async def describe(self, model: str, version: str) -> None:
        raise silent()


def played(policy: dict[str, Any], other: dict[str, Any], steps: list[tuple[Any, ...]]) -> World:
    """The world after ``steps``, closed."""

    async def play() -> World:
        world = World(policy, other)
        for step in steps:
            await world.play(step)
        await world.aclose()
        return world

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(play())


@settings(max_examples=EXAMPLES)
@given(policies(), policies(2), st.lists(_steps, min_size=3, max_size=STEPS))
def test_nothing_reaches_a_region_outside_its_class(
    policy: dict[str, Any], other: dict[str, Any], steps: list[tuple[Any, ...]]
) -> None:
    """Whatever fails, is drained, retried, continued or reloaded; and what is drained gets no new work."""
    world = played(policy, other, steps)

    assert world.strays == []
    assert world.lent == []
    assert world.refused_drain == []


@settings(max_examples=EXAMPLES)
@given(policies(), st.lists(_asks, min_size=3, max_size=STEPS))
def test_copies_go_where_their_requests_may(policy: dict[str, Any], asks: list[tuple[Any, ...]]) -> None:
    """As above, of policies in which every answer of a route is mirrored to one central endpoint."""
    centrals = [name for name, each in policy["endpoints"].items() if each["tier"] == "central"]
    shadows = [
        {"version": SHADOW, "endpoints": [name], "max_in_flight": 64} for name in (centrals[0], centrals[-1])
    ]
    routes = [
        each | {"shadow": shadow, "endpoints": list(policy["endpoints"])}
        for each, shadow in zip(policy["routes"], shadows, strict=True)
    ]

    world = played(policy | {"routes": routes}, policy, [*asks, ("wait", 1.0)])

    assert world.strays == []
    assert world.lent == []
    assert len(world.copies) == len(set(world.copies))


def test_copies_are_among_what_is_looked_at() -> None:
    """Without a rule of residency every answer is mirrored, once; of steps and what was forwarded there is none."""
    central = {"tier": "central", "region": HERE, "protocol": "http", "address": "10.0.0.1:80"}
    policy = {
        "generation": 1,
        "regions": {HERE: {}},
        "residency": {"all": {"regions": [HERE]}},
        "tenants": {tenant: {"residency": "all"} for tenant in TENANTS},
        "places": {},
        "networks": {},
        "endpoints": {"e0": central},
        "routes": [
            {"name": model, "match": {"model": model}, "endpoints": ["e0"], "shadow": {"version": SHADOW}}
            for model in MODELS
        ],
    }
    asks = [("ask", MODELS[0], "acme", "10.9.0.1", hops, step) for hops in (0, 1) for step in (None, "start")]

    world = played(policy, policy, [*asks, *asks, ("wait", 1.0)])

    assert world.copies == ["0", "4"]
    assert len(world.reached) == len(asks) * 2 + 2
