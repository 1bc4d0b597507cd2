"""What an edge gateway knows of models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.app.catalogs import EdgeCatalogs, TenantModels
from gateway.app.queries import MAX_QUERIES, Queries
from gateway.config.policy_file import load_policy
from gateway.core.catalog import IndexEntry, ModelSpec
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller
from routing.matching import Routes
from routing.policy import Policy
from tests.gateway.policies import GOOD, write_policy

# A cascade is of one model, so the route of many has none.
WIDE = GOOD.replace("model: digits", "model: d*").replace("  cascade: {on_central_down: serve_edge}\n", "")
MORE = WIDE.replace(
    "endpoints:\n",
    "endpoints:\n"
    "  a-gateway: {tier: edge, region: there, protocol: grpc, address: '127.0.0.1:9'}\n"
    "  b-central: {tier: central, region: there, protocol: grpc, address: '127.0.0.1:9'}\n",
    1,
).replace("endpoints: [central]", "endpoints: [a-gateway, b-central, central]")


class Known:
    """A catalog of the models named, which waits for ``gate`` when it has one."""

    def __init__(
        self, *names: str, fault: Fault = Fault.NOT_FOUND, gate: asyncio.Event | None = None
    ) -> None:
        self.names, self.fault, self.gate = names, fault, gate
        self.queries = 0

    async def describe(self, model: str, version: str) -> ModelSpec:
        self.queries += 1
        if self.gate is not None:
            await self.gate.wait()
        if model not in self.names:
            raise GatewayError(self.fault, "no")
        return ModelSpec(model, ("1",), "test", (), ())

    async def is_ready(self, model: str, version: str) -> bool:
        await self.describe(model, version)
        return True

    async def config(self, model: str, version: str) -> bytes:
        await self.describe(model, version)
        return json.dumps({"name": model, "max_batch_size": 8}).encode()

    async def index(self) -> list[IndexEntry]:
        self.queries += 1
        if self.fault is not Fault.NOT_FOUND:
            raise GatewayError(self.fault, "no")
        return [IndexEntry(name, "1", "READY") for name in self.names]


class KnownEndpoints:
    """Endpoints with these catalogs, all of them available or none."""

    def __init__(self, catalogs: Mapping[str, Known], available: bool) -> None:
        self._catalogs, self._available = catalogs, available

    def catalog(self, name: str) -> Known | None:
        return self._catalogs.get(name)

    def is_available(self, endpoint: str) -> bool:
        return self._available


class InForce:
    """A policy in force and its endpoints."""

    def __init__(self, policy: Policy, endpoints: KnownEndpoints) -> None:
        self._policy, self._endpoints, self._matching = policy, endpoints, Routes(policy)

    def policy(self) -> Policy:
        return self._policy

    def serial(self) -> int:
        return 1

    def matching(self) -> Routes:
        return self._matching

    def endpoints(self) -> KnownEndpoints:
        return self._endpoints


def catalogs(
    tmp_path: Path, own: Known | None, *others: Known, available: bool = True, text: str = WIDE
) -> EdgeCatalogs:
    """Catalogs under a policy whose endpoints, in the order of their names, are ``others``; None is gone."""
    policy, _ = load_policy(write_policy(tmp_path, text))
    named = dict(zip(sorted(policy.endpoints), others, strict=False))
    return EdgeCatalogs(InForce(policy, KnownEndpoints(named, available)), own, Queries(LoopClock()))


def catalog(tmp_path: Path, own: Known | None, *others: Known, **options: Any) -> TenantModels:
    """What a caller without a key sees of these catalogs."""
    return catalogs(tmp_path, own, *others, **options).of(Caller())


async def test_own_model_is_described_without_a_query(tmp_path: Path) -> None:
    """The nearest who knows answers."""
    central = Known()
    spec = await catalog(tmp_path, Known("digits"), central, text=GOOD).describe("digits", "")

    assert (spec.name, central.queries) == ("digits", 0)


async def test_own_model_that_no_request_reaches_is_described_last(tmp_path: Path) -> None:
    """The requests of a route without an edge model go to central, so central's word counts."""
    own, central = Known("digits"), Known("digits")

    await catalog(tmp_path, own, central).describe("digits", "")
    assert (own.queries, central.queries) == (0, 1)

    # Where central tells nothing this process does.
    assert (await catalog(tmp_path, own, Known()).describe("digits", "")).name == "digits"


async def test_configuration_is_centrals(tmp_path: Path) -> None:
    """Also of a model that runs here first; where central cannot be asked, or does not know it, the own one."""
    config = await catalog(tmp_path, None, Known("dogs")).config("dogs", "")
    of_both = await catalog(tmp_path, Known("digits"), Known("digits"), text=GOOD).config("digits", "")

    assert config is not None and json.loads(config)["max_batch_size"] == 8
    assert of_both is not None
    for fault in (Fault.UNAVAILABLE, Fault.NOT_FOUND):
        central = Known(fault=fault)
        assert await catalog(tmp_path, Known("digits"), central, text=GOOD).config("digits", "") is None
        with pytest.raises(GatewayError) as caught:
            await catalog(tmp_path, Known("cats"), Known(fault=fault)).config("dogs", "")
        assert caught.value.fault is fault


async def test_index_is_of_models_whose_requests_an_endpoint_gets(tmp_path: Path) -> None:
    """Of those that the tenant may use; an endpoint that tells nothing takes none of the others' away."""
    down, central = Known("dogs", fault=Fault.UNAVAILABLE), Known("dogs", "cats", "digits")
    text = MORE.replace("tier: edge", "tier: central")

    found = await catalog(tmp_path, None, down, central, Known("dogs"), text=text).index()

    assert sorted((entry.name, entry.version) for entry in found) == [
        ("digits", "1"),
        ("dogs", "1"),
        ("dogs", "1"),
    ]


async def test_index_of_who_asks_too_much_is_no_empty_one(tmp_path: Path) -> None:
    """Models that are there would look as if they had gone."""
    gate = asyncio.Event()
    central = Known("dogs", gate=gate)
    made = catalogs(tmp_path, None, central).of(Caller(tenant="exile"))
    slow = [asyncio.create_task(_describe(made, f"d{number}")) for number in range(MAX_QUERIES)]
    while central.queries < MAX_QUERIES:
        await asyncio.sleep(0)

    with pytest.raises(GatewayError) as caught:
        await made.index()
    gate.set()
    await asyncio.gather(*slow, return_exceptions=True)

    assert caught.value.fault is Fault.OVERLOADED
    assert [entry.name for entry in await made.index()] == ["dogs"]


async def _describe(models: TenantModels, model: str) -> ModelSpec:
    return await models.describe(model, "")


async def test_index_shows_nothing_of_others(tmp_path: Path) -> None:
    """And nobody is asked for a tenant that has no route."""
    text = WIDE.replace("match: {model: d*}", "match: {model: d*, tenants: [exile]}")
    central = Known("dogs")
    made = catalogs(tmp_path, None, central, text=text)

    assert await made.of(Caller()).index() == []
    assert central.queries == 0
    for _ in range(2):
        assert [entry.name for entry in await made.of(Caller(tenant="exile")).index()] == ["dogs"]
    assert central.queries == 1


async def test_where_a_model_runs(tmp_path: Path) -> None:
    """Here, where its route has an edge model and this process holds models."""
    assert catalog(tmp_path, Known("digits"), Known(), text=GOOD).runs_here("digits")
    assert not catalog(tmp_path, None, Known(), text=GOOD).runs_here("digits")
    assert not catalog(tmp_path, Known("digits"), Known()).runs_here("digits")
    assert not catalog(tmp_path, Known("digits"), Known()).runs_here("secret")


async def test_endpoint_is_queried_for_what_is_not_here(tmp_path: Path) -> None:
    """A route without an edge model is described by its endpoint."""
    made = catalog(tmp_path, Known(), Known("dogs"))

    assert (await made.describe("dogs", "")).name == "dogs"
    assert await made.is_ready("dogs", "")


async def test_what_no_tier_knows_is_not_ready(tmp_path: Path) -> None:
    """A route takes models of any name and version; that its endpoint is there does not make one of them."""
    with pytest.raises(GatewayError) as unknown:
        await catalog(tmp_path, None, Known()).is_ready("dogs", "")

    assert unknown.value.fault is Fault.NOT_FOUND
    for fault in (Fault.UNAVAILABLE, Fault.OVERLOADED):
        assert await catalog(tmp_path, None, Known(fault=fault)).is_ready("dogs", "")


@pytest.mark.parametrize("own", [None, Known("digits")])
async def test_model_without_a_route_does_not_exist(tmp_path: Path, own: Known | None) -> None:
    """No request for it can be served, so its metadata is not shown either."""
    made = catalog(tmp_path, own, Known("secret"))

    for ask in (made.describe, made.is_ready):
        with pytest.raises(GatewayError) as caught:
            await ask("secret", "")
        assert caught.value.fault is Fault.NOT_FOUND


async def test_name_with_control_characters_is_not_echoed(tmp_path: Path) -> None:
    """An error never repeats raw bytes."""
    with pytest.raises(GatewayError) as caught:
        await catalog(tmp_path, None, Known()).describe("x\x1b[31m", "")

    assert "\x1b" not in caught.value.message


async def test_the_last_failure_is_the_answer_when_nobody_knows(tmp_path: Path) -> None:
    """An endpoint that cannot be reached is not the same as one that does not know the model."""
    made = catalog(tmp_path, Known(), Known(fault=Fault.UNAVAILABLE), available=False)

    with pytest.raises(GatewayError) as caught:
        await made.describe("dogs", "")

    assert caught.value.fault is Fault.UNAVAILABLE
    assert not await made.is_ready("dogs", "")


async def test_own_failure_that_is_no_absence_passes(tmp_path: Path) -> None:
    """Only after NOT_FOUND another tier is queried."""
    text = GOOD.replace("model: digits", "model: dogs")
    made = catalog(tmp_path, Known(fault=Fault.INTERNAL), Known("dogs"), text=text)

    with pytest.raises(GatewayError) as caught:
        await made.is_ready("dogs", "")

    assert caught.value.fault is Fault.INTERNAL


async def test_other_gateways_are_never_queried(tmp_path: Path) -> None:
    """They would ask their own endpoints, this gateway among them: a question would go round for ever."""
    gateway, central = Known("dogs"), Known("dogs")

    await catalog(tmp_path, None, gateway, central, Known(), text=MORE).describe("dogs", "")

    assert (gateway.queries, central.queries) == (0, 1)


async def test_every_central_tier_of_the_models_routes_is_queried(tmp_path: Path) -> None:
    """Two routes of a model may have tiers of their own: one that does not know it does not speak for all."""
    down, ignorant, last = Known(fault=Fault.UNAVAILABLE), Known(), Known("dogs")
    text = MORE.replace("tier: edge", "tier: central")

    spec = await catalog(tmp_path, None, down, ignorant, last, text=text).describe("dogs", "")

    assert spec.name == "dogs"
    assert (down.queries, ignorant.queries, last.queries) == (1, 1, 1)


async def test_names_that_nobody_gives_are_refused(tmp_path: Path) -> None:
    """They would be passed on to every endpoint."""
    made = catalog(tmp_path, None, Known())

    for ask in (made.describe, made.is_ready):
        with pytest.raises(GatewayError) as caught:
            await ask("d" * 1000, "")
        assert caught.value.fault is Fault.INVALID


async def test_answers_are_kept_for_a_moment(tmp_path: Path) -> None:
    """Clients ask before every request; the endpoint hears of it once in a while."""
    central = Known("dogs")
    made = catalogs(tmp_path, None, central)

    for caller in (Caller(), Caller(tenant="exile"), Caller()):
        await made.of(caller).describe("dogs", "")

    assert central.queries == 1
    assert repr(made) == "<EdgeCatalogs, <Queries 0 under way, 1 answers kept>>"


@pytest.mark.parametrize("own", [None, Known("dogs", "digits", "secret")])
async def test_models_of_others_are_not_there(tmp_path: Path, own: Known | None) -> None:
    """A model that no route takes from this tenant is as one that does not exist: same words, no question."""
    text = WIDE.replace("match: {model: d*}", "match: {model: d*, tenants: [exile]}")
    central = Known("dogs")
    made = catalogs(tmp_path, own, central, text=text)
    stranger, owner = made.of(Caller()), made.of(Caller(tenant="exile"))

    for asking in (stranger.describe, stranger.is_ready):
        words = []
        for model in ("dogs", "no-such-model"):
            with pytest.raises(GatewayError) as caught:
                await asking(model, "")
            assert caught.value.fault is Fault.NOT_FOUND
            words.append(caught.value.message.replace(model, "MODEL"))
        assert words[0] == words[1]
    assert central.queries == 0
    assert own is None or own.queries == 0

    assert not stranger.may_use("dogs")
    assert owner.may_use("dogs") and owner.is_alone("dogs")
    assert (await owner.describe("dogs", "")).name == "dogs"
    assert repr(owner) == "<TenantModels of exile>"


async def test_model_of_several_tenants(tmp_path: Path) -> None:
    """It is nobody's alone."""
    made = catalogs(tmp_path, None, Known("dogs"))

    assert all(made.of(Caller(tenant=tenant)).may_use("dogs") for tenant in ("anonymous", "exile"))
    assert not made.of(Caller()).is_alone("dogs")


async def test_own_model_that_only_others_may_use_is_described_to_them_alone(tmp_path: Path) -> None:
    """Whatever this process holds."""
    text = GOOD.replace("match: {model: digits}", "match: {model: digits, tenants: [exile]}")
    made = catalogs(tmp_path, Known("digits"), Known("digits"), text=text)

    assert await made.of(Caller(tenant="exile")).is_ready("digits", "")
    with pytest.raises(GatewayError, match="unknown model"):
        await made.of(Caller()).is_ready("digits", "")


async def test_an_endpoint_that_is_gone_is_passed_over(tmp_path: Path) -> None:
    """A policy may come into force while a question is under way; its endpoints may be others."""
    with pytest.raises(GatewayError) as caught:
        await catalog(tmp_path, Known("cats")).describe("dogs", "")

    assert caught.value.fault is Fault.UNAVAILABLE
