"""`edgeway serve` as a process: ready, signals, drain, exit codes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from edge_models.samples import digits
from tests.fakes.served import Served
from tests.scenarios.world import EDGE, PIXELS, World

pytestmark = pytest.mark.e2e


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A gateway process that is ready."""
    with Served(tmp_path) as made:
        made.wait_ready()
        yield made


def infer(client, module) -> np.ndarray:
    tensor = module.InferInput("image", [1, 784], "FP32")
    tensor.set_data_from_numpy(PIXELS[:1])
    return client.infer("digits", [tensor]).as_numpy("probabilities")


def test_unmodified_clients_over_both_protocols(served: Served) -> None:
    """tritonclient gets the same numbers over HTTP and gRPC."""
    http = triton_http.InferenceServerClient(f"127.0.0.1:{served.http}")
    grpc = triton_grpc.InferenceServerClient(f"127.0.0.1:{served.grpc}")

    assert http.is_server_live()
    assert grpc.is_server_ready()
    assert http.get_model_metadata("digits")["inputs"][0]["shape"] == [-1, 784]
    assert (infer(http, triton_http) == infer(grpc, triton_grpc)).all()

    http.close()
    grpc.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed on this machine")
def test_curl(served: Served, tmp_path: Path) -> None:
    """JSON in, JSON out, and the headers say who answered."""
    data = [float(value) for value in PIXELS[0]]
    body = {"inputs": [{"name": "image", "shape": [1, 784], "datatype": "FP32", "data": data}]}
    (tmp_path / "body.json").write_text(json.dumps(body))

    url = f"http://127.0.0.1:{served.http}/v2/models/digits/infer"
    command = ["curl", "-si", url, "-d", f"@{tmp_path / 'body.json'}"]
    shown = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    head, _, answer = shown.rpartition("\r\n\r\n")

    assert json.loads(answer)["outputs"][0]["shape"] == [1, 10]
    for line in ("x-edgeway-served-by: here", "x-edgeway-provenance: edge", "x-edgeway-policy-generation: 1"):
        assert line in head


def test_sigterm_drains_and_exits_0(served: Served) -> None:
    """Not ready at once, still serving for a moment, then gone with exit code 0."""
    client = triton_http.InferenceServerClient(f"127.0.0.1:{served.http}")

    served.signal(signal.SIGTERM)
    served.wait(lambda: served.get(served.admin, "/readyz")[0] == 503)
    infer(client, triton_http)

    assert served.wait_exit() == 0
    client.close()


def test_body_on_its_way_is_waited_for(served: Served) -> None:
    """A request whose body is still arriving at SIGTERM was accepted, and is answered."""
    body = json.dumps(
        {"inputs": [{"name": "image", "shape": [1, 784], "datatype": "FP32", "data": [0.5] * 784}]}
    ).encode()
    head = (
        "POST /v2/models/digits/infer HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", served.http), timeout=10) as connection:
        connection.sendall(head)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 100")
        connection.sendall(body[:100])
        served.signal(signal.SIGTERM)
        served.wait(lambda: served.get(served.http, "/v2/health/live")[0] == 0)  # it listens no more
        connection.sendall(body[100:])

        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
    assert served.wait_exit() == 0


def test_sighup_reloads(served: Served) -> None:
    """A new generation is in force right after the signal, a bad one never is."""
    served.write_policy(2)
    served.signal(signal.SIGHUP)
    served.wait(lambda: served.report("/policy")["generation"] == 2)

    (served.folder / "policy.yaml").write_text("generation: 3\n")
    served.signal(signal.SIGHUP)
    served.wait(lambda: served.report("/policy")["error"])

    assert served.report("/policy")["generation"] == 2
    assert served.get(served.http, "/v2/health/ready")[0] == 200


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("broken", ["onnx", "mmdb", "policy", "port", "cuda", "redis"])
def test_start_that_cannot_succeed_names_the_culprit_and_exits_2(
    tmp_path: Path, broken: str, request
) -> None:
    """Corrupt files, a taken port and a GPU that is required but absent end the start with a clear line."""
    World(tmp_path)
    text = EDGE.format(repository=digits.EDGE_REPOSITORY, redis="")
    says = {
        "onnx": "model.onnx",
        "mmdb": "broken.mmdb",
        "policy": "policy.yaml:1",
        "port": "cannot listen on 127.0.0.1:",
        "cuda": "cuda",
        "redis": "cache.redis.url cannot be used",
    }[broken]
    if broken == "onnx":
        folder = tmp_path / "models" / "digits" / "1"
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(os.urandom(2048))
        text = text.replace(str(digits.EDGE_REPOSITORY), str(tmp_path / "models"))
    elif broken == "mmdb":
        (tmp_path / "broken.mmdb").write_bytes(b"\xab\xcd\xefMaxMind.com" + os.urandom(64))
        text += "geo: {database: broken.mmdb}\n"
    elif broken == "policy":
        (tmp_path / "policy.yaml").write_text("generation: 0\n")
    elif broken == "port":
        taken = request.getfixturevalue("taken_port")
        text = text.replace("http: '127.0.0.1:0'", f"http: '127.0.0.1:{taken}'")
    elif broken == "redis":
        text = text.replace("cache:\n", "cache:\n  redis: {url: 'redis://:open-sesame@127.0.0.1:banana/0'}\n")
    else:
        text = text.replace("models:\n", "models:\n  providers: [cuda, cpu]\n  require: cuda\n")
    (tmp_path / "edge.yaml").write_text(text)

    command = [sys.executable, "-m", "gateway", "serve", str(tmp_path / "edge.yaml")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)

    assert ended.returncode == 2, ended.stderr
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "open-sesame" not in ended.stderr, "a warning may name key_secret, but no password"
