"""Servers for the cases: each pinned to one core, with a log file of its own."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

from loadtests.bench import world
from loadtests.bench.rounds import cores

START_S: Final = 90.0
_LEAVE_S: Final = 30.0
_LAST_WORDS: Final = 800


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """How to start a server: it listens on ``port``, writes to ``log``, and runs on the cores ``on`` (the
    one for what is measured, unless given)."""

    words: Sequence[str]
    port: int
    log: Path
    environment: Mapping[str, str] | None = None
    on: Sequence[int] = ()


@contextmanager
def server(command: Command) -> Iterator[int]:
    """Run a server while the block runs; hand out its process id once it listens.

    Raises:
        RuntimeError: it does not listen in time; the message has its last words.
    """
    on = ",".join(map(str, command.on or cores()[:1]))
    words = ["taskset", "-c", on, *command.words]
    with command.log.open("wb") as log:
        process = subprocess.Popen(words, env=command.environment, stdout=log, stderr=log)
        try:
            _wait(process, command)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(_LEAVE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def edgeway(settings: Path, port: int, on: Sequence[int] = ()) -> Command:
    """Return how to start Edgeway with ``settings``."""
    words = [sys.executable, "-m", "gateway", "serve", str(settings)]
    return Command(words=words, port=port, log=settings.with_suffix(".log"), on=on)


def ask(port: int, body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
    """Send an infer request until it is answered; return the answer's headers, names in lower case.

    Servers may listen before their models are loaded, so every case begins with this.

    Raises:
        RuntimeError: the answer is not 200, and stays so.
    """
    deadline = time.monotonic() + START_S
    while True:
        connection = http.client.HTTPConnection(world.ADDRESS, port, timeout=30)
        try:
            connection.request("POST", world.PATH, body, dict(headers))
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            found = str(error)
        else:
            if answer.status == 200:
                return {name.lower(): value for name, value in answer.getheaders()}
            found = f"{answer.status} {text[:200]!r}"
        finally:
            connection.close()
        if time.monotonic() > deadline:
            raise RuntimeError(f"port {port} does not answer as it should: {found}")
        time.sleep(0.1)


def ask_for_hit(port: int, body: bytes, headers: Mapping[str, str]) -> None:
    """Ask Edgeway twice; the second answer must come out of the cache in memory.

    Raises:
        RuntimeError: it does not.
    """
    ask(port, body, headers)
    found = ask(port, body, headers).get("x-edgeway-provenance", "")
    if not found.startswith("cache;level=l1"):
        raise RuntimeError(f"not an L1 hit: {found!r}")


def ask_grpc(port: int) -> None:
    """Send a ModelInfer until it is answered: load generators count any gRPC status as a success.

    Raises:
        RuntimeError: it is not answered, or refused.
    """
    with grpc.insecure_channel(f"{world.ADDRESS}:{port}") as channel:
        try:
            channel.unary_unary(world.METHOD)(world.message(), timeout=START_S, wait_for_ready=True)
        except grpc.RpcError as error:
            raise RuntimeError(f"port {port} does not answer as it should: {error}") from error


def get(port: int, path: str) -> Any:
    """Return the JSON at ``path``."""
    connection = http.client.HTTPConnection(world.ADDRESS, port, timeout=30)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((world.ADDRESS, 0))
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], command: Command) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((world.ADDRESS, command.port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    found = command.log.read_text(errors="replace")[-_LAST_WORDS:].strip()
    raise RuntimeError(f"nobody listens on port {command.port}: {' '.join(command.words)}\n{found}")
