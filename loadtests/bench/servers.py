"""Servers and load for the cases: each server pinned to one core, the load on the other."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from loadtests.bench import world
from loadtests.bench.rounds import cores

START_S: Final = 90.0
_LUA: Final = """
local file = io.open("{body}", "rb"); local body = file:read("*a"); file:close()
wrk.method = "POST"; wrk.body = body
{headers}
"""


@contextmanager
def server(
    command: list[str], port: int, environment: Mapping[str, str] | None = None, *, log: Path | None = None
) -> Iterator[None]:
    """Run a server while the block runs; it must listen on ``port`` before the block begins.

    What it says goes to ``log``, or to where we say things.
    """
    pinned = ["taskset", "-c", str(cores()[0]), *command]
    if log is None:
        process = subprocess.Popen(pinned, env=environment)
    else:
        with log.open("wb") as file:
            process = subprocess.Popen(pinned, env=environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        _wait(process, port)
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def write_script(folder: Path, name: str, body: bytes, headers: Mapping[str, str]) -> Path:
    """Write what wrk sends; return its script."""
    file = folder / f"{name}.body"
    file.write_bytes(body)
    lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items())
    script = folder / f"{name}.lua"
    script.write_text(_LUA.format(body=file, headers=lines))
    return script


def wrk(script: Path, url: str, *, connections: int, seconds: int) -> dict[str, float]:
    """Load ``url``; return requests per second and the median latency in ms.

    Raises:
        RuntimeError: there were errors: what was measured is not what was meant.
    """
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), url]
    text = _pinned(command)
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"wrk met errors:\n{text}")
    rate, median = re.search(r"Requests/sec:\s+([\d.]+)", text), re.search(r"50%\s+([\d.]+)(us|ms|s)", text)
    if rate is None or median is None:
        raise RuntimeError(f"wrk said nothing:\n{text}")
    return {"rps": float(rate[1]), "p50_ms": float(median[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[median[2]]}


def h2load(body: Path, url: str, *, clients: int, streams: int, requests: int) -> dict[str, float]:
    """Load a gRPC method; return calls per second and the mean time of a call in ms.

    Raises:
        RuntimeError: there were errors.
    """
    headers = ("-H", "content-type: application/grpc", "-H", "te: trailers")
    command = ["h2load", f"-n{requests}", f"-c{clients}", f"-m{streams}", f"-d{body}", *headers, url]
    text = _pinned(command)
    rate = re.search(r"finished in [\d.]+m?s, ([\d.]+) req/s", text)
    if rate is None or f"{requests} succeeded, 0 failed" not in text:
        raise RuntimeError(f"h2load met errors:\n{text}")
    rps = float(rate[1])
    return {"rps": rps, "mean_ms": clients * streams / rps * 1000}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((world.ADDRESS, 0))
        return int(probe.getsockname()[1])


def _pinned(command: list[str]) -> str:
    pinned = ["taskset", "-c", str(cores()[1]), *command]
    return subprocess.run(pinned, capture_output=True, text=True, check=True).stdout


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((world.ADDRESS, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nobody listens on port {port}: {process.args!r}")
