"""A real redis-server on a free port, owned by the test that started it.

Example::

    with RedisServer() as redis:
        redis.url                 # redis://127.0.0.1:PORT/0
        redis.kill()              # SIGKILL; redis.start() brings an empty one back on the same port
        redis.pause()             # SIGSTOP: accepts, never answers; redis.resume()
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from types import TracebackType
from typing import Self

_FIRST, _EACH, _WORKERS = 20_000, 1_200, 10
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % _WORKERS
_ports = itertools.count(random.randrange(_EACH))


def free_port() -> int:
    """A TCP port of the loopback interface that nobody else gets before its server is started.

    The kernel's own choice (port 0) may be taken in between, by a connection or by another worker of the test
    run. So these are below the kernel's range, and each worker walks through ports of its own.
    """
    while True:
        port = _FIRST + _worker * _EACH + next(_ports) % _EACH
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class RedisServer:
    def __init__(self, *arguments: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._arguments = arguments
        self.program_arguments: tuple[str, ...] = ()
        self._directory = tempfile.mkdtemp(prefix="edgeway-redis-")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers."""
        program = shutil.which("redis-server")
        assert program, "redis-server is missing: `make test` installs it"
        command = [
            program,
            *self.program_arguments,
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            self._directory,
        ]
        process = self._process = subprocess.Popen([*command, *self._arguments], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while (reply := self._ping()) != b"+PONG\r\n":
            assert process.poll() is None, f"redis-server ended with {process.returncode}"
            assert time.monotonic() < deadline, f"redis-server did not start in 30 s; PING: {reply!r}"
            time.sleep(0.01)

    def _ping(self) -> bytes | OSError:
        """The reply to PING, or the error: connections are refused until the server listens."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16)
        except OSError as error:
            return error

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """SIGSTOP: the kernel still accepts connections, nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)
