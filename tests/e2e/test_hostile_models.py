"""`edgeway serve` with models that do not end: the process serves the others, and leaves when it is told to."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from tests.edge_models import hostile_models, onnx_models
from tests.fakes.redis_server import free_port

pytestmark = pytest.mark.e2e

SETTINGS = """\
role: central
region: there
listen: {{http: '127.0.0.1:{http}', grpc: null, admin: '127.0.0.1:{admin}'}}
models: {{repository: models, limits: {limits}}}
resilience: {{drain: {{drain_time_s: 0, drain_timeout_s: 0.5}}}}
"""


def infer(port: int, model: str, name: str, data: list[float], limit_s: float) -> int:
    """The status of an answer."""
    tensor = {"name": name, "shape": [1, len(data)], "datatype": "FP32", "data": data}
    url = f"http://127.0.0.1:{port}/v2/models/{model}/infer"
    with urllib.request.urlopen(url, json.dumps({"inputs": [tensor]}).encode(), limit_s) as answer:
        return answer.status


@pytest.mark.parametrize(
    ("bad", "value"),
    [(hostile_models.loop(), 1.0), (hostile_models.one_operator(), 9_000.0)],
    ids=["between operators", "within one"],
)
def test_a_process_leaves_without_a_run_that_does_not_end(tmp_path: Path, bad: bytes, value: float) -> None:
    """It exits with 0, as after any drain, whether the run can be stopped or not; the others never notice."""
    onnx_models.write(tmp_path / "models", "good", onnx_models.affine())
    onnx_models.write(tmp_path / "models", "bad", bad)
    http, admin = free_port(), free_port()
    (tmp_path / "settings.yaml").write_text(
        SETTINGS.format(http=http, admin=admin, limits="{bad: {max_mem_mib: 4096}}")
    )
    command = [sys.executable, "-m", "gateway", "serve", "settings.yaml"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, cwd=tmp_path)
    try:
        _wait_ready(process, tmp_path / "log")
        asking = threading.Thread(target=_ask_badly, args=(http, value))
        asking.start()
        time.sleep(1)

        assert asking.is_alive()
        assert infer(http, "good", "image", [1.0] * 4, 30) == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        asking.join()
    finally:
        process.kill()
        process.wait()
    assert "stopped" in (tmp_path / "log").read_text()


def _ask_badly(port: int, value: float) -> None:
    with contextlib.suppress(OSError):
        infer(port, "bad", "x", [value], 60)


def _wait_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 50
    while "is ready" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)


def test_a_start_says_what_onnx_runtime_says(tmp_path: Path) -> None:
    """A file of a version to come: which one it is, and which are supported."""
    onnx_models.write(tmp_path / "models", "new", hostile_models.stamped(ir=99))
    (tmp_path / "settings.yaml").write_text(SETTINGS.format(http=free_port(), admin=free_port(), limits="{}"))
    command = [sys.executable, "-m", "gateway", "serve", "settings.yaml"]

    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=150, check=False)

    assert ended.returncode == 2
    assert "new/1/model.onnx: is not a model" in ended.stderr
    assert "Unsupported model IR version: 99, max supported IR version: " in ended.stderr
