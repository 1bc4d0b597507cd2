"""A gateway and its central tier in TLS, both as they are started: mTLS, new files, and a policy that is refused."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.app.process import GatewayProcess
from gateway.config.settings import load_settings
from tests.fakes.certificates import Authority, Issued
from tests.fakes.redis_server import free_port
from tests.scenarios.world import CENTRAL, POLICY, UNSURE, World, digits, until

SECURE = POLICY.replace("address: '127.0.0.1:{port}'", "addresses: ['localhost:{port}'], tls: TLS")
TLS = "{{ca: ca.pem, certificate: edge.pem, key: edge.key}}"


@asynccontextmanager
async def secure_world(folder: Path, protocol: str, ca: Authority) -> AsyncIterator[World]:
    """The edge shows edge.pem, and trusts ca.pem; central takes nobody else."""
    ports = {"http": free_port(), "grpc": free_port()}
    server = ca.issue("localhost")
    show(ca.issue("edge"), folder)
    shutil.copy(ca.root, folder / "ca.pem")
    text = CENTRAL.format(repository=digits.CENTRAL_REPOSITORY, **ports).replace(
        "admin: null",
        f"admin: null, tls: {{certificate: {server.certificate}, key: {server.key}, client_ca: {ca.root}}}",
    )
    (folder / "secure-central.yaml").write_text(text)
    world = World(folder)
    port = ports["grpc" if protocol == "grpc" else "http"]
    world.write_policy(1, SECURE.replace("TLS", TLS), port=port, protocol=protocol)
    async with GatewayProcess(load_settings(folder / "secure-central.yaml", {})).serving(), world:
        yield world


def show(issued: Issued, folder: Path) -> None:
    shutil.copy(issued.certificate, folder / "edge.pem")
    shutil.copy(issued.key, folder / "edge.key")


@pytest.mark.parametrize("protocol", ["grpc", "http", "h2"])
async def test_requests_reach_central_in_tls(tmp_path: Path, protocol: str) -> None:
    """It takes nobody without a certificate, and its own is checked by the name in the policy."""
    (tmp_path / "ca").mkdir()
    async with secure_world(tmp_path, protocol, Authority(tmp_path / "ca")) as world:
        answer = await world.ask(UNSURE)

    assert (answer.provenance.origin, answer.provenance.region) == ("central", "there")


async def test_a_policy_whose_files_are_not_there_is_refused(tmp_path: Path) -> None:
    """The error says which endpoint, field and file; it is taken as soon as the file is there."""
    (tmp_path / "ca").mkdir()
    ca = Authority(tmp_path / "ca")
    async with secure_world(tmp_path, "grpc", ca) as world:
        policy = (tmp_path / "policy.yaml").read_text()
        changed = policy.replace("generation: 1", "generation: 2").replace("ca: ca.pem", "ca: new.pem")
        (tmp_path / "policy.yaml").write_text(changed)
        await until(lambda: world.edge.health()["policy"]["error"])
        error = world.edge.health()["policy"]["error"]
        assert "endpoints.central: tls:" in error
        assert "new.pem: cannot be read" in error
        assert (await world.ask(UNSURE)).provenance.origin == "central"

        shutil.copy(ca.root, tmp_path / "new.pem")
        await world.in_force(2)
        assert (await world.ask(UNSURE + 1)).provenance.origin in {"central", "edge"}


async def test_a_half_written_file_is_told_and_harms_nobody(tmp_path: Path) -> None:
    """The health report names it; when it is whole, it is in use."""
    (tmp_path / "ca").mkdir()
    ca = Authority(tmp_path / "ca")
    async with secure_world(tmp_path, "grpc", ca) as world:
        await world.ask(UNSURE)
        (tmp_path / "edge.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nMII")
        await until(lambda: "edge.pem" in str(world.edge.health()["endpoints"]))
        assert "half written" in str(world.edge.health()["endpoints"])
        show(ca.issue("edge"), tmp_path)
        await until(lambda: "edge.pem" not in str(world.edge.health()["endpoints"]))
        assert world.edge.health()["ready"]
