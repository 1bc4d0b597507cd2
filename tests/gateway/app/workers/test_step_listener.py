"""A worker's socket for steps; what goes over it is in test_step_peer.py."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest

from gateway.app import codec_frames
from gateway.app.workers.step_listener import StepListener
from tests.fakes.service import HANG, ScriptedService, answer, request


@pytest.fixture
def path():
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "steps-0.sock"


async def test_a_step_after_the_takeover_is_refused(path):
    """It was sent to the worker before: a state that others cannot reach must not answer it."""
    service = ScriptedService(answer())
    before, after = StepListener(path, service), StepListener(path, service)
    await before.start()
    reader, writer = await asyncio.open_unix_connection(str(path))
    await after.start()

    writer.writelines(codec_frames.frame((1, request())))
    number, response, error = await codec_frames.receive(reader)
    writer.close()
    await asyncio.gather(before.aclose(), after.aclose())

    assert (number, response, service.requests) == (1, None, [])
    assert "begin the sequence anew" in error["message"]


async def test_a_connection_that_ends_cancels_its_steps(path):
    """The worker that asked is gone."""
    service = ScriptedService(HANG)
    listener = StepListener(path, service)
    await listener.start()
    _, writer = await asyncio.open_unix_connection(str(path))
    writer.writelines(codec_frames.frame((1, request())))
    while not service.running:
        await asyncio.sleep(0)

    writer.close()
    while service.running:
        await asyncio.sleep(0)
    await listener.aclose()

    assert not path.exists()
