"""Model control at an edge whose policy has tenants with keys, over real sockets, by tritonclient."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http.aio as http_aio
from tritonclient.utils import InferenceServerException

from tests.fakes.operator import BEARER, TOKEN
from tests.scenarios.world import POLICY, World

KEY = "the-key-of-acme-which-is-long"
TENANTS = POLICY.replace(
    "  anonymous: {{residency: anywhere}}\n",
    f"  acme: {{{{residency: anywhere, keys_sha256: [{sha256(KEY.encode()).hexdigest()}]}}}}\n",
)
ACCESS = f"admin_access: {{{{tokens_sha256: [{sha256(TOKEN.encode()).hexdigest()}]}}}}"
KINDS = {"http": http_aio, "grpc": grpc_aio}
STRANGERS = {
    "nobody": {},
    "a tenant": {"authorization": f"Bearer {KEY}"},
    "a wrong token": {"authorization": f"Bearer {TOKEN}x"},
    "no scheme": {"authorization": TOKEN},
    "a page": {**BEARER, "origin": "https://evil.example"},
}


@asynccontextmanager
async def edge(tmp_path: Path, *, admin_calls: bool = True) -> AsyncIterator[World]:
    made = World(tmp_path)
    made.write_policy(1, TENANTS)
    protocol = f"protocol: {{admin_calls: {str(admin_calls).lower()}}}"
    made.change_settings("admin: '127.0.0.1:0'", f"admin: '127.0.0.1:0', {protocol}, {ACCESS.format()}")
    async with made as world:
        yield world


@asynccontextmanager
async def client(world: World, kind: str) -> AsyncIterator[Any]:
    port = getattr(world.edge.servers, kind).port
    async with KINDS[kind].InferenceServerClient(f"127.0.0.1:{port}") as opened:
        yield opened


async def index(asked: Any, kind: str, headers: dict[str, str]) -> list[tuple[str, str]]:
    found = await asked.get_model_repository_index(headers=headers)
    if kind == "grpc":
        return [(model.name, model.state) for model in found.models]
    return [(model["name"], model["state"]) for model in found]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_operator_controls_models(tmp_path: Path, kind: str) -> None:
    """Who is no tenant: index, unload and load take the token, and central is not asked."""
    async with edge(tmp_path) as world, client(world, kind) as asked:
        assert await index(asked, kind, BEARER) == [("digits", "READY")]
        await asked.unload_model("digits", headers=BEARER)
        assert await index(asked, kind, BEARER) == [("digits", "UNAVAILABLE")]
        await asked.load_model("digits", headers=BEARER)
        assert await index(asked, kind, BEARER) == [("digits", "READY")]
        with pytest.raises(InferenceServerException) as refused:
            await asked.get_model_metadata("digits", headers=BEARER)
        assert "401" in str(refused.value) or "UNAUTHENTICATED" in str(refused.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("who", STRANGERS)
async def test_nobody_else_does(tmp_path: Path, kind: str, who: str) -> None:
    """A tenant sees the index of what it may use, and orders nothing; others see nothing."""
    headers = STRANGERS[who]
    async with edge(tmp_path) as world, client(world, kind) as asked:
        for order in (asked.load_model, asked.unload_model):
            with pytest.raises(InferenceServerException):
                await order("digits", headers=headers)
        if who == "a tenant":
            assert await index(asked, kind, headers) == [("digits", "READY")]
        else:
            with pytest.raises(InferenceServerException):
                await index(asked, kind, headers)
        assert await index(asked, kind, BEARER) == [("digits", "READY")]


@pytest.mark.parametrize("kind", KINDS)
async def test_without_admin_calls_the_token_is_none(tmp_path: Path, kind: str) -> None:
    async with edge(tmp_path, admin_calls=False) as world, client(world, kind) as asked:
        for call in (asked.load_model, asked.unload_model):
            with pytest.raises(InferenceServerException):
                await call("digits", headers=BEARER)
        with pytest.raises(InferenceServerException):
            await index(asked, kind, BEARER)


async def test_two_credentials_are_none(tmp_path: Path) -> None:
    """The operator's beside a tenant's: neither a tenant nor the operator."""
    async with edge(tmp_path) as world:
        assert world.edge.servers.http is not None
        url = f"http://127.0.0.1:{world.edge.servers.http.port}/v2/repository"
        twice = [("authorization", BEARER["authorization"]), ("authorization", f"Bearer {KEY}")]
        async with aiohttp.ClientSession(headers=twice) as session:
            for path in ("/index", "/models/digits/unload"):
                async with session.post(url + path) as answer:
                    assert answer.status in {400, 401}
