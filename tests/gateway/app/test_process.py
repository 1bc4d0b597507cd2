"""One gateway process: signals, from settings to exit."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from gateway.app.errors import StartError
from gateway.app.process import GatewayProcess, reload_on
from tests.fakes.redis_server import free_port
from tests.gateway.app.processes import CENTRAL, EDGE, get, settings
from tests.scenarios.world import UNSURE, digits, picture

LOADS = b'edgeway_policy_loads_total{outcome="accepted"}'


async def ready(port: int) -> None:
    """Wait until a gateway with this admin port is ready."""
    async with asyncio.timeout(60):
        while True:
            try:
                if (await get(port, "/readyz"))[0] == 200:
                    return
            except OSError:
                await asyncio.sleep(0.01)


async def loads(port: int) -> float:
    """How many policies have come into force."""
    metrics = (await get(port, "/metrics"))[1]
    return next(float(line.split()[1]) for line in metrics.splitlines() if line.startswith(LOADS))


async def test_serving_is_from_open_to_closed(tmp_path: Path) -> None:
    """The block has the open gateway; after it nothing is left."""
    process = GatewayProcess(settings(tmp_path, CENTRAL))
    assert repr(process) == "<GatewayProcess central there>"

    async with process.serving() as gateway:
        assert (await gateway.generation()(picture(UNSURE))).provenance.origin == "central"

    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_cannot_be_used_is_a_start_error(tmp_path: Path) -> None:
    """Whichever library found it: the place of clients, the models."""
    geo = EDGE + "geo: {database: absent.mmdb}\n"
    models = CENTRAL.replace(str(digits.CENTRAL_REPOSITORY), str(tmp_path / "absent"))
    for text, message in ((geo, "absent.mmdb"), (models, "absent: cannot be read")):
        with pytest.raises(StartError, match=message):
            async with GatewayProcess(settings(tmp_path, text)).serving():
                pass


@pytest.mark.parametrize("leave", [signal.SIGTERM, signal.SIGINT])
async def test_signals(tmp_path: Path, leave: signal.Signals) -> None:
    """SIGHUP takes again what is on disk; the others end the process, and nothing of it is left."""
    port = free_port()
    text = EDGE.replace("admin: '127.0.0.1:0'", f"admin: '127.0.0.1:{port}'")
    running = asyncio.create_task(GatewayProcess(settings(tmp_path, text)).run())
    await ready(port)
    before = await loads(port)

    os.kill(os.getpid(), signal.SIGHUP)
    async with asyncio.timeout(30):
        while await loads(port) == before:
            await asyncio.sleep(0.01)
    assert await loads(port) == before + 1, "once for one signal"
    os.kill(os.getpid(), leave)
    async with asyncio.timeout(30):
        await running

    with pytest.raises(OSError):
        await get(port, "/healthz")
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_reload_that_fails_does_not_end_the_next(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it raised: the next SIGHUP is heard, and the log has the reason."""
    hangup, done = asyncio.Event(), asyncio.Event()
    outcomes = [RuntimeError("can't start new thread"), None]

    async def reload() -> None:
        if (error := outcomes.pop(0)) is not None:
            hangup.set()
            raise error
        done.set()

    waiting = asyncio.create_task(reload_on(hangup, reload))
    hangup.set()
    async with asyncio.timeout(30):
        await done.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert "can't start new thread" in caplog.text
