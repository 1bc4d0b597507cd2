"""`edgeway serve` with two workers and a model with state: whichever worker a step comes to, one answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from tests.fakes.redis_server import free_port
from tests.scenarios.test_sequences import repository

pytestmark = pytest.mark.e2e

SETTINGS = """\
role: central
region: there
workers: 2
listen: {{http: '127.0.0.1:{http}', grpc: '127.0.0.1:{grpc}', admin: '127.0.0.1:{admin}'}}
models: {{repository: '{repository}'}}
resilience: {{drain: {{drain_time_s: 0, drain_timeout_s: 5}}}}
"""
KINDS = {"http": triton_http, "grpc": triton_grpc}


class Served:
    """A central tier of two workers in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.ports = {name: free_port() for name in ("http", "grpc", "admin")}
        settings = folder / "central.yaml"
        settings.write_text(SETTINGS.format(repository=repository(folder), **self.ports))
        self.process = subprocess.Popen([sys.executable, "-m", "gateway", "serve", str(settings)])

    def workers(self) -> dict[int, int]:
        """Number → process of the workers that are ready."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.ports['admin']}/readyz", timeout=2
            ) as answer:
                report = json.load(answer)
        except (urllib.error.URLError, OSError):
            return {}
        return {each["number"]: each["process"] for each in report["workers"] if each["ready"]}

    def wait_ready(self, *, without: tuple[int, ...] = ()) -> dict[int, int]:
        until = time.monotonic() + 60
        while len(found := self.workers()) < 2 or set(found.values()) & set(without):
            assert time.monotonic() < until
            assert self.process.poll() is None
            time.sleep(0.05)
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("served"))
    try:
        made.wait_ready()
        yield made
    finally:
        made.process.send_signal(signal.SIGTERM)
        made.process.wait(60)


def total(served: Served, kind: str, value: int, number: int | str, **flags: bool) -> int:
    """The sum that a step answers with, sent over a connection of its own: any worker may accept it."""
    module = KINDS[kind]
    entry = module.InferInput("INPUT", [1, 1], "INT32")
    entry.set_data_from_numpy(np.array([[value]], np.int32))
    client = module.InferenceServerClient(f"127.0.0.1:{served.ports[kind]}")
    try:
        answer = client.infer("sums", [entry], sequence_id=number, **flags)
    finally:
        client.close()
    return int(answer.as_numpy("OUTPUT").item())


def outcome(served: Served, *args: Any, **flags: bool) -> int | str:
    try:
        return total(served, *args, **flags)
    except InferenceServerException as error:
        return str(error.message())


@pytest.mark.parametrize("kind", KINDS)
def test_steps_over_any_connection_are_one_sequence(served, kind):
    """With steps of all between each other."""
    numbers = [*range(1, 9), 1 << 40, (1 << 63) - 1]
    first = [total(served, kind, 1, number, sequence_start=True) for number in numbers]
    rounds = [[total(served, kind, 1, number) for number in numbers] for _ in range(4)]
    last = [total(served, kind, 1, number, sequence_end=True) for number in numbers]
    over = [outcome(served, kind, 1, number) for number in numbers]

    assert first == [1] * 10
    assert rounds == [[steps] * 10 for steps in (2, 3, 4, 5)]
    assert last == [6] * 10
    assert all("must specify the START flag" in str(each) for each in over)


def test_a_worker_that_dies_loses_its_own_sequences_only(served):
    """Their clients are told, and begin anew; those of the other worker go on."""
    numbers = list(range(100, 120))
    for number in numbers:
        total(served, "http", 1, number, sequence_start=True)
    victim = served.wait_ready()[0]
    os.kill(victim, signal.SIGKILL)
    served.wait_ready(without=(victim,))

    after = [outcome(served, "http", 1, number) for number in numbers]
    anew = [total(served, "http", 5, number, sequence_start=True) for number in numbers]
    then = [total(served, "http", 5, number, sequence_end=True) for number in numbers]

    kept = [each for each in after if isinstance(each, int)]
    lost = [each for each in after if isinstance(each, str)]
    assert (set(kept), 0 < len(kept) < len(numbers)) == ({2}, True)
    assert all("must specify the START flag" in each for each in lost)
    assert (anew, then) == ([5] * 20, [10] * 20)


def test_replaced_workers_begin_without_sequences(served):
    """SIGHUP replaces them one after the other; no step is ever answered from a state of before."""
    before = tuple(served.wait_ready().values())
    for number in range(200, 210):
        total(served, "http", 1, number, sequence_start=True)
    served.process.send_signal(signal.SIGHUP)
    served.wait_ready(without=before)

    found = [outcome(served, "http", 1, number) for number in range(200, 210)]
    anew = [total(served, "grpc", 5, number, sequence_start=True) for number in range(200, 210)]

    assert all("must specify the START flag" in str(each) for each in found)
    assert anew == [5] * 10
