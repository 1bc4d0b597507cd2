"""`edgeway serve` in a process of its own, with settings that the test writes; its central tier does not exist.

Example::

    with Served(tmp_path, "workers: 2\n") as served:
        served.wait_ready()
        served.get(served.admin, "/readyz")     # status and body; (0, "") when nobody answers
        served.signal(signal.SIGHUP)
        served.log()
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from edge_models.samples import digits
from tests.fakes.redis_server import free_port
from tests.scenarios.world import CONFIDENT, EDGE, PIXELS, World

BODY = json.dumps(
    {
        "inputs": [
            {
                "name": "image",
                "shape": [1, 784],
                "datatype": "FP32",
                "data": [float(value) for value in PIXELS[CONFIDENT]],
            }
        ]
    }
).encode()
"""A request that the edge answers by itself."""

INFER = "/v2/models/digits/infer"


class Served:
    """``more``: further lines of the settings. ``listen``: further fields of ``listen``.

    ``admin_headers``: what requests to the admin port have.
    ``max_files``: how many files the process may have open; 0: as many as this one.
    """

    def __init__(self, folder: Path, more: str = "", *, listen: str = "", max_files: int = 0) -> None:
        self._max_files = max_files
        self.folder = folder
        self.admin_headers: Mapping[str, str] = {}
        self.settings = folder / "edge.yaml"
        self.http, self.grpc, self.admin = free_port(), free_port(), free_port()
        self.write_policy = World(folder).write_policy
        text = EDGE.format(repository=digits.EDGE_REPOSITORY, redis="")
        ports = (
            f"http: '127.0.0.1:{self.http}', grpc: '127.0.0.1:{self.grpc}', admin: '127.0.0.1:{self.admin}'"
        )
        text = text.replace(
            "http: '127.0.0.1:0', grpc: '127.0.0.1:0', admin: '127.0.0.1:0'",
            f"{ports}, {listen}" if listen else ports,
        ).replace("drain_time_s: 0,", "drain_time_s: 0.2,")
        self.settings.write_text(text + more)
        self._log = (folder / "log").open("wb")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "gateway", "serve", str(self.settings)]
        if self._max_files:
            command = ["/bin/sh", "-c", f'ulimit -n {self._max_files}; exec "$@"', "sh", *command]
        self.process = subprocess.Popen(command, stderr=self._log)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait_exit(self) -> int:
        assert self.process is not None
        return self.process.wait(150)

    def wait(self, condition: Callable[[], Any], limit_s: float = 150) -> Any:
        """Wait until ``condition`` holds; return what it returned."""
        deadline = time.monotonic() + limit_s
        while not (found := condition()):
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)
        return found

    def wait_ready(self) -> None:
        assert self.process is not None
        self.wait(lambda: self.get(self.admin, "/readyz")[0] == 200 or self.process.poll() is not None)
        assert self.process.poll() is None, self.log()

    def wait_log(self, words: str, times: int = 1) -> None:
        self.wait(lambda: self.log().count(words) >= times)

    def get(self, port: int, path: str) -> tuple[int, str]:
        headers = dict(self.admin_headers) if port == self.admin else {}
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def report(self, path: str) -> Any:
        return json.loads(self.get(self.admin, path)[1])

    def workers(self) -> dict[int, int]:
        """The process of each worker."""
        return {each["number"]: each["process"] for each in self.report("/readyz")["workers"]}

    def close(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self._log.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
