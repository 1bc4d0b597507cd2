"""A process that may have few files open, and strangers who take as many connections as they get."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path

import pytest

from tests.fakes.load import REQUEST
from tests.fakes.served import Served

pytestmark = pytest.mark.e2e

REQUEST_OF_HEALTH = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n"


def connect(port: int, own: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=50, source_address=(own, 0))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("first", [b"", REQUEST_OF_HEALTH])
def test_strangers_do_not_take_them_all(tmp_path: Path, workers: int, first: bytes) -> None:
    """Others are answered, and so is the operator; what is missing stands in the log, and nobody retries all day."""
    with contextlib.ExitStack() as held, Served(tmp_path, f"workers: {workers}\n", max_files=300) as served:
        served.wait_ready()
        for index in range(600):
            stranger = held.enter_context(
                connect((served.http, served.grpc)[index % 2], f"127.0.0.{2 + index % 6}")
            )
            with contextlib.suppress(OSError):
                stranger.sendall(first)
        time.sleep(0.3)

        for _ in range(10):
            with connect(served.http, "127.0.0.1") as client:
                client.sendall(REQUEST)
                assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
            assert served.get(served.admin, "/readyz")[0] == 200

        log = served.log()
        assert "300 open files are allowed" in log
        assert "only 150 connections are accepted, 75 of one address" in log
        assert "cannot be accepted" not in log
        assert log.count("connections are refused") < 20
