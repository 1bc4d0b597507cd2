"""Questions to endpoints, as one caller asks them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.app.queries import KEPT_S, Asker, Queries
from gateway.app.questions import Questions
from gateway.core.catalog import IndexEntry, ModelSpec, TensorSpec
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError, Why
from tests.fakes.virtual_time import virtual_time

SPEC = ModelSpec("m", ("3",), "custom", (TensorSpec("x", "FP32", (-1, 4)),), ())


class Endpoint:
    """Has one model, in version 3; ``refusal`` is raised by what is asked for its configuration."""

    def __init__(self, refusal: GatewayError | None = None) -> None:
        self.refusal, self.spec = refusal, SPEC
        self.asked: list[tuple[str, ...]] = []

    async def describe(self, model: str, version: str) -> ModelSpec:
        self.asked.append(("metadata", model, version))
        if model != "m" or version not in {"", "3"}:
            raise GatewayError(Fault.NOT_FOUND, "no")
        return self.spec

    async def is_ready(self, model: str, version: str) -> bool:
        return True

    async def config(self, model: str, version: str) -> bytes:
        self.asked.append(("config", model, version))
        if self.refusal is not None:
            raise self.refusal.replaced()
        return b'{"max_batch_size": 8}'

    async def index(self) -> Sequence[IndexEntry]:
        self.asked.append(("index",))
        return [IndexEntry("m", "3", "READY")]


class InForce:
    """Endpoints in force, under a number that a test may change."""

    def __init__(self, **endpoints: Endpoint) -> None:
        self.number, self._endpoints = 1, endpoints

    def policy(self) -> Any:
        raise AssertionError("it decides nothing here")

    matching = policy

    def serial(self) -> int:
        return self.number

    def endpoints(self) -> InForce:
        return self

    def catalog(self, name: str) -> Endpoint | None:
        return self._endpoints.get(name)

    def is_available(self, endpoint: str) -> bool:
        return True


def questions(in_force: InForce, queries: Queries | None = None, tenant: str = "acme") -> Questions:
    return Questions(in_force, queries or Queries(LoopClock()), Asker(tenant, to_infer=False))


@virtual_time
async def test_each_question_is_asked_once_in_a_while() -> None:
    """Whoever asks, by whatever name the same version goes."""
    endpoint, queries = Endpoint(), Queries(LoopClock())
    in_force = InForce(central=endpoint)

    for _ in range(2):
        for tenant in ("acme", "umbrella"):
            made = questions(in_force, queries, tenant)
            for version in ("", "3"):
                await made.describe("central", "m", version)
                await made.config("central", "m", version)
            await made.index("central")
        assert sorted(endpoint.asked) == [("config", "m", ""), ("index",), ("metadata", "m", "")]
        endpoint.asked.clear()
        await asyncio.sleep(KEPT_S)


@virtual_time
async def test_what_comes_into_force_asks_anew() -> None:
    """A policy, or a certificate."""
    endpoint = Endpoint()
    in_force = InForce(central=endpoint)
    made = questions(in_force)

    await made.describe("central", "m", "")
    in_force.number = 2
    await made.describe("central", "m", "")

    assert len(endpoint.asked) == 2


@virtual_time
@pytest.mark.parametrize(
    "refusal",
    [
        GatewayError(Fault.NOT_FOUND, "no such path"),
        GatewayError(Fault.INVALID, "400"),
        GatewayError(Fault.UNSUPPORTED, "unimplemented"),
        GatewayError(Fault.UNAVAILABLE, "cannot be read", why=Why("protocol", answered=True)),
        GatewayError(Fault.UNAVAILABLE, "not let in", why=Why("not_let_in", answered=True)),
        GatewayError(Fault.TOO_LARGE, "larger than 64 MiB"),
    ],
)
async def test_server_without_configurations(refusal: GatewayError) -> None:
    """KServe, MLServer: it is made from the metadata, and no more is asked than of others."""
    endpoint = Endpoint(refusal)
    made = questions(InForce(central=endpoint))

    for _ in range(3):
        config = json.loads(await made.config("central", "m", ""))

    assert (config["name"], config["max_batch_size"]) == ("m", 0)
    assert config["input"][0]["dims"] == [-1, 4]
    assert endpoint.asked == [("config", "m", ""), ("metadata", "m", "")]


@virtual_time
async def test_no_configuration_of_no_model() -> None:
    """What the server does not know has none."""
    with pytest.raises(GatewayError) as caught:
        await questions(InForce(central=Endpoint(GatewayError(Fault.NOT_FOUND, "no")))).config(
            "central", "unknown", ""
        )
    assert caught.value.fault is Fault.NOT_FOUND


@virtual_time
@pytest.mark.parametrize(
    "refusal",
    [
        GatewayError(Fault.OVERLOADED, "busy", why=Why("503", answered=True)),
        GatewayError(Fault.UNAVAILABLE, "no connection", why=Why("refused")),
        GatewayError(Fault.INTERNAL, "broken", why=Why("500", answered=True)),
        GatewayError(Fault.UNAVAILABLE, "the answer ended in its midst", why=Why("protocol")),
        GatewayError(Fault.UNAVAILABLE, "going away in good order"),
    ],
)
async def test_failure_is_no_absence(refusal: GatewayError) -> None:
    """A configuration that was made would tell another model than the real one."""
    endpoint = Endpoint(refusal)

    with pytest.raises(GatewayError) as caught:
        await questions(InForce(central=endpoint)).config("central", "m", "")

    assert caught.value.fault is refusal.fault
    assert endpoint.asked == [("config", "m", "")]


@virtual_time
async def test_metadata_have_the_name_that_was_asked_for() -> None:
    """Clients compare it; a server that has models under other names of its own is no concern of theirs."""
    endpoint = Endpoint()
    endpoint.spec = replace(SPEC, name="other")
    made = questions(InForce(central=endpoint))

    assert await made.describe("central", "m", "") == SPEC


@virtual_time
async def test_failure_takes_no_configuration_away() -> None:
    """The last one stands in; an endpoint that goes away in good order, as in every update, had one."""
    endpoint = Endpoint()
    made = questions(InForce(central=endpoint))
    config = await made.config("central", "m", "")
    endpoint.refusal = GatewayError(Fault.UNAVAILABLE, "going away in good order")
    await asyncio.sleep(KEPT_S)

    assert await made.config("central", "m", "") == config
    assert len(endpoint.asked) == 2


@virtual_time
async def test_endpoint_that_is_gone() -> None:
    """A policy may drop it at any time."""
    made = questions(InForce())

    with pytest.raises(GatewayError) as caught:
        await made.describe("central", "m", "")
    assert caught.value.fault is Fault.UNAVAILABLE
    assert repr(made).startswith("<Questions of acme")
