"""Case `http_hit`: requests per second of an L1 hit over HTTP, against a bare aiohttp handler."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from loadtests.bench import world
from loadtests.bench.rounds import cores, in_turn, spread

CONNECTIONS: Final = 32
SECONDS: Final = 4
ROUNDS: Final = 5
PROMISED_RATIO: Final = 0.6

_LUA: Final = """
local file = io.open("{body}", "rb"); local body = file:read("*a"); file:close()
wrk.method = "POST"; wrk.body = body
wrk.headers["Inference-Header-Content-Length"] = "{length}"
"""


def measure(folder: Path) -> dict[str, Any]:
    """Load both servers in turn, each pinned to the same core, wrk on the other."""
    if shutil.which("wrk") is None:
        return {"skipped": "wrk is not installed (apt-get install wrk)"}
    folder.mkdir(parents=True, exist_ok=True)
    body, length = world.wire_request()
    (folder / "body.bin").write_bytes(body)
    script = folder / "post.lua"
    script.write_text(_LUA.format(body=folder / "body.bin", length=length))
    ours, bare = _free_port(), _free_port()
    settings = world.write_settings(folder, http_port=ours)
    edgeway = [sys.executable, "-m", "gateway", "serve", str(settings)]
    yardstick = [sys.executable, "-m", "loadtests.bench.bare_aiohttp", str(bare)]
    with _server(edgeway, ours), _server(yardstick, bare):
        values = in_turn(
            {"edgeway": lambda: _wrk(script, ours), "bare_aiohttp": lambda: _wrk(script, bare)}, ROUNDS
        )
    ratios = [a / b for a, b in zip(values["edgeway"], values["bare_aiohttp"], strict=True)]
    ratio = spread(ratios)
    return {
        "request_bytes": len(body),
        "connections": CONNECTIONS,
        "requests_per_second": {name: spread(samples) for name, samples in values.items()},
        "ratio": ratio,
        "promised_ratio": PROMISED_RATIO,
        "kept": ratio["median"] >= PROMISED_RATIO,
    }


def _wrk(script: Path, port: int) -> float:
    url = f"http://{world.ADDRESS}:{port}/v2/models/digits/infer"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(script), url]
    pinned = ["taskset", "-c", str(cores()[1]), *command]
    text = subprocess.run(pinned, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"wrk met errors:\n{text}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if found is None:
        raise RuntimeError(f"wrk said nothing:\n{text}")
    return float(found[1])


@contextmanager
def _server(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(["taskset", "-c", str(cores()[0]), *command])
    try:
        _wait(process, port)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((world.ADDRESS, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nobody listens on port {port}: {process.args!r}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((world.ADDRESS, 0))
        return int(probe.getsockname()[1])
