"""A gateway that leaves under load: nobody whose connection came about is reset or left waiting."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.fakes.load import REQUEST, Load
from tests.fakes.served import Served

pytestmark = pytest.mark.e2e


async def test_stopped_worker_at_sigterm(tmp_path: Path) -> None:
    """It neither keeps the ports open nor holds up the end; only its own connections are lost."""
    with Served(tmp_path, "workers: 2\n") as served:
        served.wait_ready()
        stopped = served.workers()[0]
        os.kill(stopped, signal.SIGSTOP)
        load = Load(served.http, until_refused=True)
        served.signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            await load.run(kept=2, fresh=4)

        assert load.failures == []
        assert load.refused == 2 + 4
        assert await asyncio.to_thread(served.wait_exit) == 0
        assert "did not leave" not in served.log()


@pytest.mark.parametrize("count", [1, 2, 2])
async def test_sigterm_loses_no_connection(tmp_path: Path, count: int) -> None:
    """New and kept connections, HTTP/1.1 and gRPC, until each client is refused; the exit code is 0."""
    with Served(tmp_path, f"workers: {count}\n") as served:
        served.wait_ready()
        load = Load(served.http, until_refused=True)
        running = asyncio.create_task(load.run(kept=8, fresh=16, grpc_port=served.grpc))
        await asyncio.to_thread(served.wait, lambda: load.answers > 200)

        served.signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            await running

        assert load.failures == []
        assert load.refused == 8 + 16 + 1
        assert await asyncio.to_thread(served.wait_exit) == 0
        assert "Traceback" not in served.log()


@pytest.mark.parametrize("accepts", [True, False])
@pytest.mark.parametrize("count", [1, 2])
def test_collector_that_hangs(tmp_path: Path, count: int, *, accepts: bool) -> None:
    """A process that leaves waits a second for it, and not for as long as its library would."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as collector, socket.socket() as filling:
        if not accepts:
            filling.connect(collector.getsockname())
        endpoint = f"http://127.0.0.1:{collector.getsockname()[1]}"
        more = f"workers: {count}\ntelemetry: {{otlp_endpoint: '{endpoint}'}}\n"
        with Served(tmp_path, more) as served:
            served.wait_ready()
            for _ in range(8):
                with socket.create_connection(("127.0.0.1", served.http)) as client:
                    client.sendall(REQUEST)
                    assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")

            served.signal(signal.SIGTERM)
            assert served.wait_exit() == 0

            assert "the collector did not take the last spans within 1 s, they are lost" in served.log()
            assert "did not leave" not in served.log()
