"""A client that knows no definition of ours, and makes its messages of what reflection tells, as grpcurl does."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from gateway.wire.proto import messages
from tests.clients.installed import ClientMissing, python_with
from tests.fakes.data_plane import EchoService
from tests.fakes.http import serving

TOOL = "reflection"
SCRIPT = Path(__file__).with_name("reflection_tool.py")


@pytest.fixture(scope="module")
def tool() -> Path:
    """A Python that has the client."""
    try:
        return python_with(TOOL)
    except ClientMissing as reason:
        pytest.skip(f"{TOOL} cannot be installed here: {reason}")


@pytest.mark.timeout(600)  # the first time installs it
async def test_calls_from_what_reflection_tells(tool):
    """List, describe and call: every method of every service is found with its messages."""
    async with serving(EchoService()) as listener:
        process = await asyncio.create_subprocess_exec(
            tool,
            SCRIPT,
            f"127.0.0.1:{listener.port}",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode == 0, errors.decode()
    report = json.loads(output)
    assert set(report["services"]) == {
        messages.SERVICE,
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert ["ModelInfer", False, False] in report["services"][messages.SERVICE]
    assert ["ModelStreamInfer", True, True] in report["services"][messages.SERVICE]
    assert len(report["services"][messages.SERVICE]) == 20
    assert (report["id"], report["x"]) == ("r-1", [1.5, -2.0])
    assert report["health"] == {"status": "SERVING"}
    assert report["metadata"]["inputs"] == [{"name": "image", "datatype": "FP32", "shape": ["-1", "4"]}]
    assert report["error"] == "NOT_FOUND"
