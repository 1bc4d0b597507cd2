"""Two central tiers with different models behind one edge, over real sockets: requests go where their model is."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from gateway.app.gateway import Gateway
from gateway.app.process import GatewayProcess
from gateway.config.settings import load_settings
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller, Response
from tests.fakes.redis_server import free_port
from tests.gateway.app.processes import get_json
from tests.scenarios.world import PIXELS, digits, picture, until

PROTOCOLS = ("grpc", "http", "h2")

POLICY = """\
generation: 1
regions: {{here: {{}}, there: {{}}}}
failover: {{here: [there], there: [here]}}
residency: {{anywhere: {{regions: ["*"]}}, only-here: {{regions: [here]}}}}
tenants: {{anonymous: {{residency: anywhere}}, local: {{residency: only-here}}}}
endpoints:
  near: {{tier: central, region: here, protocol: {protocol}, addresses: ['127.0.0.1:{near}']}}
  far: {{tier: central, region: there, protocol: {protocol}, addresses: ['127.0.0.1:{far}']}}
routes:
- {{name: all, cache: {{enabled: false}}, endpoints: [near, far]}}
"""
EDGE = """\
role: edge
region: here
listen: {http: '127.0.0.1:0', grpc: '127.0.0.1:0', admin: '127.0.0.1:0'}
policy: policy.yaml
resilience: {drain: {drain_time_s: 0, drain_timeout_s: 5}}
"""
CENTRAL = """\
role: central
region: {region}
listen: {{http: '127.0.0.1:{http}', grpc: '127.0.0.1:{grpc}', admin: null}}
models: {{repository: '{repository}'}}
resilience: {{drain: {{drain_time_s: 0, drain_timeout_s: 5}}}}
"""


class Lab:
    """``near`` has digits in version 1 and ``both``; ``far`` has digits in version 2, ``both`` and ``alone``."""

    def __init__(self, folder: Path, protocol: str) -> None:
        self._folder = folder
        self._wire = "grpc" if protocol == "grpc" else "http"
        self._ports = {name: {"http": free_port(), "grpc": free_port()} for name in ("near", "far")}
        held = {"near": {"digits": 1, "both": 1}, "far": {"digits": 2, "both": 1, "alone": 1}}
        for name, models in held.items():
            for model, version in models.items():
                target = folder / name / model / str(version)
                target.mkdir(parents=True)
                shutil.copy(digits.model_path(digits.CENTRAL_REPOSITORY), target / "model.onnx")
        ports = {name: known[self._wire] for name, known in self._ports.items()}
        (folder / "policy.yaml").write_text(POLICY.format(protocol=protocol, **ports))
        (folder / "edge.yaml").write_text(EDGE)
        self.tiers: dict[str, Gateway] = {}

    @asynccontextmanager
    async def tier(self, name: str, region: str) -> AsyncIterator[None]:
        file = self._folder / f"{name}.yaml"
        repository = self._folder / name
        file.write_text(CENTRAL.format(region=region, repository=repository, **self._ports[name]))
        async with GatewayProcess(load_settings(file, {})).serving() as self.tiers[name]:
            yield

    def known(self, name: str) -> list[str] | None:
        """What the one member of an endpoint is known to hold."""
        (member,) = self.edge.generation().endpoints.by_name[name].members
        return None if member.holdings is None else member.holdings.lines()

    async def where(self, model: str, image: int = 0, **changes: Any) -> str:
        """The region whose tier answers."""
        response: Response = await self.edge.generation()(picture(image, model=model, **changes))
        return response.provenance.region

    @asynccontextmanager
    async def started(self) -> AsyncIterator[None]:
        """An edge, once it knows what its endpoints hold."""
        async with GatewayProcess(load_settings(self._folder / "edge.yaml", {})).serving() as self.edge:
            await until(lambda: self.known("near") is not None and self.known("far") is not None)
            yield


@asynccontextmanager
async def lab(folder: Path, protocol: str = "grpc") -> AsyncIterator[Lab]:
    """Both tiers, and the edge."""
    made = Lab(folder, protocol)
    async with made.tier("near", "here"), made.tier("far", "there"), made.started():
        yield made


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_requests_go_where_their_model_and_version_are(tmp_path: Path, protocol: str) -> None:
    """Whatever is nearer; what both hold stays near."""
    async with lab(tmp_path, protocol) as made:
        assert made.known("near") == ["both:1", "digits:1"]
        assert made.known("far") == ["alone:1", "both:1", "digits:2"]
        for image in range(3):
            assert await made.where("both", image) == "here"
            assert await made.where("alone", image) == "there"
            assert await made.where("digits", image) == "here"
            assert await made.where("digits", image, version="2") == "there"
            assert await made.where("digits", image, version="1") == "here"
        # Not one attempt was made in vain.
        pools = made.edge.generation().endpoints.by_name
        assert sum(each.parts.meter.failures for pool in pools.values() for each in pool.members) == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_model_that_comes_and_goes(tmp_path: Path, protocol: str) -> None:
    """Unloaded at the nearest it is found elsewhere by the same request; loaded again it is used again."""
    async with lab(tmp_path, protocol) as made:
        repository = made.tiers["near"].tier.repository
        await repository.unload("both")
        assert await made.where("both") == "there"
        assert made.known("near") == ["digits:1"]
        assert await made.where("both", 1) == "there"
        await repository.load("both", {})
        await until(lambda: made.known("near") == ["both:1", "digits:1"])

        assert await made.where("both", 2) == "here"


async def test_a_tier_that_is_gone(tmp_path: Path) -> None:
    """What it alone held is unavailable, and not unknown: nobody deletes a client's model for an outage."""
    made = Lab(tmp_path, "grpc")
    async with AsyncExitStack() as far, made.tier("near", "here"):
        await far.enter_async_context(made.tier("far", "there"))
        async with made.started():
            await far.aclose()
            faults = []
            for _ in range(20):
                with pytest.raises(GatewayError) as caught:
                    await made.where("alone")
                faults.append(caught.value.fault)

            assert set(faults) == {Fault.UNAVAILABLE}
            assert await made.where("both") == "here"


async def test_residency_is_not_widened(tmp_path: Path) -> None:
    """A tenant that may not leave its region gets the 404 of its own tier, though another has the model."""
    async with lab(tmp_path) as made:
        local = Caller("127.0.0.1", "local", vouched=True)
        with pytest.raises(GatewayError, match="unknown model") as caught:
            await made.where("alone", caller=local)

        assert caught.value.fault is Fault.NOT_FOUND
        assert await made.where("both", caller=local) == "here"


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_clients_get_answers_and_the_words_that_they_know(tmp_path: Path, protocol: str) -> None:
    """tritonclient, on both wires."""
    async with lab(tmp_path, protocol) as made:
        triton = {"grpc": tritonclient.grpc, "http": tritonclient.http}[protocol]
        port = getattr(made.edge.servers, protocol).port

        def ask(model: str, version: str = "") -> Any:
            client = triton.InferenceServerClient(f"127.0.0.1:{port}")
            try:
                tensor = triton.InferInput(digits.INPUT, list(PIXELS[:1].shape), "FP32")
                tensor.set_data_from_numpy(PIXELS[:1])
                return client.infer(model, [tensor], model_version=version).get_response()
            finally:
                client.close()

        for model, version in (("alone", ""), ("digits", "1"), ("digits", "2"), ("both", "")):
            assert await asyncio.to_thread(ask, model, version)
        for model, version in (("nothing", ""), ("digits", "3")):
            with pytest.raises(InferenceServerException, match="Request for unknown model"):
                await asyncio.to_thread(ask, model, version)


async def test_operators_see_what_is_known(tmp_path: Path) -> None:
    """At the admin port: the list of endpoints, health, metrics."""
    async with lab(tmp_path) as made:
        port = made.edge.servers.admin.port
        listed = {each["endpoint"]: each["members"][0] for each in await get_json(port, "/endpoints")}
        assert listed["near"]["models"] == ["both:1", "digits:1"]
        assert listed["far"]["num_models"] == 3
        assert listed["far"]["models_since"] > 0
        member = next(iter((await get_json(port, "/readyz"))["endpoints"]["far"]["members"].values()))
        assert member["models"] == ["alone:1", "both:1", "digits:2"]
        metrics = made.edge.prometheus.render().decode()
        assert 'edgeway_member_models{endpoint="far"' in metrics
