"""What is not the endpoint's fault is no evidence against it: real gateways, real models, foreign servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from gateway.app.gateway import Gateway
from gateway.app.process import GatewayProcess
from gateway.config.settings import load_settings
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller, Request
from gateway.core.tensor import Tensor
from tests.edge_models import onnx_models
from tests.fakes.upstreams import http, read_request, scripted_peer

CENTRAL = """\
role: central
region: home
listen: {http: '127.0.0.1:0', grpc: '127.0.0.1:0', admin: null}
models: {repository: models}
resilience: {drain: {drain_time_s: 0, drain_timeout_s: 5}}
"""
EDGE = """\
role: edge
region: home
listen: {http: '127.0.0.1:0', grpc: null, admin: null, max_body_mib: 1}
policy: policy.yaml
trusted_gateways: [127.0.0.0/8]
resilience: {drain: {drain_time_s: 0, drain_timeout_s: 5}}
"""
POLICY = """\
generation: 1
regions: {home: {serves: [EU]}}
residency: {anywhere: {regions: ["*"]}}
tenants: {anonymous: {residency: anywhere}, acme: {residency: anywhere}, umbrella: {residency: anywhere}}
endpoints:
  central: {tier: central, region: home, protocol: PROTOCOL, address: '127.0.0.1:PORT'}
routes:
- {name: all, endpoints: [central]}
"""


@asynccontextmanager
async def edge_to(folder: Path, protocol: str, port: int) -> AsyncIterator[Gateway]:
    """An edge whose only endpoint is at ``port``."""
    text = POLICY.replace("PROTOCOL", protocol).replace("PORT", str(port))
    (folder / "policy.yaml").write_text(text)
    (folder / "edge.yaml").write_text(EDGE)
    edge = GatewayProcess(load_settings(folder / "edge.yaml", {}))
    async with edge.serving() as gateway:
        yield gateway


@asynccontextmanager
async def pair(folder: Path, protocol: str) -> AsyncIterator[Gateway]:
    """A central tier with two models, and the edge before it."""
    onnx_models.write(folder / "models", "fragile", onnx_models.product())
    onnx_models.write(folder / "models", "innocent", onnx_models.affine())
    (folder / "central.yaml").write_text(CENTRAL)
    central = GatewayProcess(load_settings(folder / "central.yaml", {}))
    async with AsyncExitStack() as lifetimes:
        served = await lifetimes.enter_async_context(central.serving())
        listener = getattr(served.servers, protocol)
        yield await lifetimes.enter_async_context(edge_to(folder, protocol, listener.port))


async def ask(edge: Gateway, model: str, width: int = 4, tenant: str = "acme", value: float = 1.0) -> str:
    """Return ``ok``, or the fault and the message."""
    tensor = Tensor.from_numpy("image", np.full((1, width), value, np.float32))
    caller = Caller(address="81.2.69.142", tenant=tenant, vouched=True)
    request = Request(model, (tensor,), caller=caller, deadline=asyncio.get_running_loop().time() + 10)
    try:
        await edge.generation()(request)
    except GatewayError as error:
        return f"{error.fault}: {error.message}"
    return "ok"


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_values_that_a_model_cannot_use_are_their_senders(tmp_path: Path, protocol: str) -> None:
    """However often: told in the model's words, and nobody else notices."""
    async with pair(tmp_path, protocol) as edge:
        bad = {await ask(edge, "fragile", width=5) for _ in range(20)}
        innocent, fragile = await ask(edge, "innocent"), await ask(edge, "fragile")
        report = edge.health()

    assert bad == {
        (
            "invalid: the model cannot use the values of the inputs: "
            "MatMul node 'fold': Compute MatMul dimension mismatch"
        )
    }
    assert (innocent, fragile) == ("ok", "ok")
    assert report["endpoints"] == {"central": {"state": "closed"}}


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_values_of_one_request_do_not_fail_its_batch(tmp_path: Path, protocol: str) -> None:
    """They may share a run with others; those are run again without it."""
    async with pair(tmp_path, protocol) as edge:
        outcomes = await asyncio.gather(*(ask(edge, "fragile", width=5 - n % 2) for n in range(16)))

    assert [outcome == "ok" for outcome in outcomes] == [bool(n % 2) for n in range(16)]


POISON = np.float32(666.0).tobytes() * 4
GOOD = b'{"model_name":"m","outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[%b]}]}'


class Foreign:
    """A server of another make: some inputs it answers as ``poisoned`` says."""

    def __init__(self, poisoned: bytes) -> None:
        self.poisoned = poisoned
        self.poisons = self.checks = 0

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return
            length = head.lower().partition(b"\r\ncontent-length: ")[2].split(b"\r\n")[0]
            body = await reader.readexactly(int(length or 0))
            if head.startswith(b"GET"):
                self.checks += b"health" in head
                writer.write(http(404, close=False))
            elif POISON in body:
                self.poisons += 1
                writer.write(self.poisoned)
            else:
                writer.write(http(200, GOOD % b"0.5", close=False))


ANSWERS = {
    "500": (http(500, b'{"error":"this input breaks the model"}', close=False), "internal"),
    "too large": (http(200, b" " * (2 << 20), close=False), "too_large"),
    "null": (http(200, GOOD % b"null", close=False), "internal"),
}


@pytest.mark.parametrize("kind", ANSWERS)
async def test_one_tenants_poison_is_nobody_elses(tmp_path: Path, kind: str) -> None:
    """The same model at the same, only, endpoint: other tenants do not notice, and it is asked once each time."""
    answer, fault = ANSWERS[kind]
    foreign = Foreign(answer)
    async with scripted_peer(foreign.play) as peer, edge_to(tmp_path, "http", peer.port) as edge:
        poisoned, others = [], []
        for _ in range(15):
            poisoned.append(await ask(edge, "m", tenant="umbrella", value=666.0))
            if len(poisoned) > 10:
                others.append(await ask(edge, "m"))
        report = edge.health()

    assert {outcome.partition(":")[0] for outcome in poisoned} == {fault}
    assert foreign.poisons == 15, "no retry can cure it"
    assert others == ["ok"] * 5
    assert report["endpoints"]["central"]["state"] == "closed"


async def test_deadlines_that_callers_made_are_no_evidence(tmp_path: Path) -> None:
    """A hundred callers in a hurry, and the next one is served."""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await read_request(reader)
            except asyncio.IncompleteReadError:
                return
            if not head.startswith(b"GET"):
                await asyncio.sleep(0.05)
            writer.write(http(200, GOOD % b"0.5", close=False))

    async with scripted_peer(slow) as peer, edge_to(tmp_path, "http", peer.port) as edge:
        tensor = Tensor.from_numpy("image", np.ones((1, 4), np.float32))
        for _ in range(100):
            due = asyncio.get_running_loop().time() + 0.002
            with pytest.raises(GatewayError) as caught:
                await edge.generation()(Request("m", (tensor,), caller=Caller("81.2.69.142"), deadline=due))
            assert caught.value.fault is Fault.DEADLINE

        assert await ask(edge, "m") == "ok"
