"""Load generators: wrk for HTTP/1.1, h2load for HTTP/2 and for a given number of requests."""

from __future__ import annotations

import re
import resource
import struct
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests.bench import world
from loadtests.bench.rounds import cores

GRPC: Final = {"content-type": "application/grpc", "te": "trailers"}
_LUA: Final = """
local file = io.open("{body}", "rb"); local body = file:read("*a"); file:close()
wrk.method = "POST"; wrk.body = body
{headers}
"""
_US: Final = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 6e7}


@dataclass(frozen=True, slots=True)
class Load:
    """What a load measured: requests per second, µs per request (wrk: the median; h2load: the mean),
    the generator's share of one core, and the 99th percentile in µs (wrk)."""

    rps: float
    us: float
    share: float = 0.0
    p99_us: float = 0.0


def url(port: int, path: str = world.PATH) -> str:
    """Return where to send the load."""
    return f"http://{world.ADDRESS}:{port}{path}"


def write_script(folder: Path, name: str, body: bytes, headers: Mapping[str, str]) -> Path:
    """Write what wrk sends; return its script."""
    file = folder / f"{name}.body"
    file.write_bytes(body)
    lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items())
    script = folder / f"{name}.lua"
    script.write_text(_LUA.format(body=file, headers=lines))
    return script


def write_message(folder: Path) -> Path:
    """Write the request as a gRPC message with its frame."""
    file, message = folder / "grpc.body", world.message()
    file.write_bytes(b"\0" + struct.pack(">I", len(message)) + message)
    return file


def wrk(script: Path, port: int, *, connections: int, seconds: int) -> Load:
    """Load the infer path with one thread.

    Raises:
        RuntimeError: there were errors, so that the figures mean nothing.
    """
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), url(port)]
    text, share = _pinned(command)
    return parse_wrk(text, share)


def parse_wrk(text: str, share: float = 0.0) -> Load:
    """Read what wrk printed.

    Raises:
        RuntimeError: it met errors, or printed nothing.
    """
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"wrk met errors:\n{text}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    median = re.search(r"50%\s+([\d.]+)(us|ms|s|m)\b", text)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s|m)\b", text)
    if rate is None or median is None or p99 is None:
        raise RuntimeError(f"wrk said nothing:\n{text}")
    median_us, p99_us = (float(found[1]) * _US[found[2]] for found in (median, p99))
    return Load(float(rate[1]), median_us, share, p99_us)


def grpc(body: Path, port: int, *, clients: int, streams: int, calls: int) -> Load:
    """Load ModelInfer over as many connections as ``clients``, each with ``streams`` calls at once.

    Raises:
        RuntimeError: there were errors.
    """
    to = url(port, world.METHOD)
    text, share = _pinned([*_h2load(body, GRPC, calls, clients), f"-m{streams}", to])
    return parse_h2load(text, calls, clients * streams, share)


def http1(body: Path, port: int, headers: Mapping[str, str], *, clients: int, calls: int) -> Load:
    """Load the infer path over HTTP/1.1 with so many requests and no more, which wrk cannot.

    Raises:
        RuntimeError: there were errors.
    """
    text, share = _pinned([*_h2load(body, headers, calls, clients), "--h1", url(port)])
    return parse_h2load(text, calls, clients, share)


def parse_h2load(text: str, calls: int, at_once: int, share: float = 0.0) -> Load:
    """Read what h2load printed; ``at_once`` calls were under way at any time.

    Raises:
        RuntimeError: not all ``calls`` succeeded.
    """
    rate = re.search(r"finished in [\d.]+\w*, ([\d.]+) req/s", text)
    if rate is None or f" {calls} succeeded, 0 failed" not in text:
        raise RuntimeError(f"h2load met errors:\n{text}")
    rps = float(rate[1])
    return Load(rps, at_once / rps * 1e6, share)


def _h2load(body: Path, headers: Mapping[str, str], calls: int, clients: int) -> list[str]:
    given = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    return ["h2load", f"-n{calls}", f"-c{clients}", f"-d{body}", *given]


def _pinned(command: list[str]) -> tuple[str, float]:
    """Return what the load generator printed, and its share of one core."""
    pinned = ["taskset", "-c", str(cores()[1]), *command]
    before, began = _children_s(), time.monotonic()
    done = subprocess.run(pinned, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout, (_children_s() - before) / (time.monotonic() - began)


def _children_s() -> float:
    # Of children that have ended; nothing else ends while a load runs.
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
