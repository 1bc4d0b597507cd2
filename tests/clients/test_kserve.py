"""The KServe SDK's clients, unmodified, over both protocols of one port."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from gateway.core.request import Provenance
from tests.clients.installed import ClientMissing, python_with
from tests.fakes.data_plane import EchoService
from tests.fakes.http import serving

SDK = "kserve"
SCRIPT = Path(__file__).with_name("kserve_sdk.py")
ALL = {"bool", "uint8", "int64", "fp16", "fp32", "fp64", "bytes"}


@pytest.fixture(scope="module")
def sdk() -> Path:
    """A Python that has the SDK."""
    try:
        return python_with(SDK)
    except ClientMissing as reason:
        pytest.skip(f"{SDK} cannot be installed here: {reason}")


@pytest.mark.timeout(1200)  # the first time installs it
async def test_kserve_sdk(sdk):
    """Health, readiness, every datatype in binary and in JSON, raw and typed, and the errors."""
    async with serving(EchoService(Provenance("edge", region="eu-west"))) as listener:
        target = f"127.0.0.1:{listener.port}"
        process = await asyncio.create_subprocess_exec(
            sdk,
            SCRIPT,
            f"http://{target}",
            target,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(process.communicate(), 120)

    assert process.returncode == 0, errors.decode()
    report = json.loads(output)
    rest, rpc = report["rest"], report["grpc"]
    for client in (rest, rpc):
        assert (client["live"], client["ready"], client["model ready"], client["unknown ready"]) == (
            True,
            True,
            True,
            False,
        )
    for answer, names in (
        (rest["binary"], ALL),
        (rest["JSON"], ALL - {"fp16"}),
        (rpc["raw"], ALL),
        (rpc["typed"], ALL - {"fp16"}),
    ):
        assert answer == {"id": "r-7", "model": "digits", "same": dict.fromkeys(names, True)}
    assert rest["served by"] == "eu-west"
    assert rest["dict"] == [1.0, 2.0]
    assert (rest["error"][0], rpc["error"][0]) == (400, "INVALID_ARGUMENT")
    assert "3" in rest["error"][1]
    assert "3" in rpc["error"][1]
