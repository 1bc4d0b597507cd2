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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from tests.fakes.redis_server import free_port
from tests.routing.policies import KEY_HASH
from tests.scenarios.test_sequences import POLICY, repository

pytestmark = pytest.mark.e2e

SETTINGS = """\
role: central
region: there
workers: 2
listen: {{http: '127.0.0.1:{http}', grpc: '127.0.0.1:{grpc}', admin: '127.0.0.1:{admin}'}}
models: {{repository: '{repository}'}}
resilience: {{drain: {{drain_time_s: 0, drain_timeout_s: 5}}}}
"""
EDGE = """\
role: edge
region: here
workers: 2
listen: {{http: '127.0.0.1:{http}', grpc: '127.0.0.1:{grpc}', admin: '127.0.0.1:{admin}'}}
policy: policy.yaml
resilience:
  breaker: {{consecutive_5xx: 2, base_ejection_time_s: 0.2}}
  drain: {{drain_time_s: 0, drain_timeout_s: 5}}
"""
KINDS = {"http": triton_http, "grpc": triton_grpc}


class Served:
    """A gateway of two workers in processes of their own: a central tier, or what ``text`` says."""

    def __init__(self, folder: Path, text: str = SETTINGS) -> None:
        self.ports = {name: free_port() for name in ("http", "grpc", "admin")}
        self._settings = folder / "settings.yaml"
        self._settings.write_text(text.format(repository=repository(folder, idle_s=600), **self.ports))
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", "gateway", "serve", str(self._settings)])

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

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
        made.stop()


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
    except OSError as error:
        return str(error)


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


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def are_all_well(edge: Served) -> bool:
    """Whether all workers of an edge think so of all endpoints, which single steps are sent to meanwhile."""
    for number in range(1000, 1008):
        outcome(edge, "grpc", 1, number, sequence_start=True, sequence_end=True)
    with urllib.request.urlopen(f"http://127.0.0.1:{edge.ports['admin']}/readyz", timeout=2) as answer:
        workers = json.load(answer)["workers"]
    states = [each["state"] for worker in workers for each in worker.get("endpoints", {}).values()]
    return states == ["closed"] * 4


def test_workers_of_an_edge_know_together_where_a_sequence_is(tmp_path):
    """It began at the second endpoint since the first was out, and goes on there when that is back."""
    folders = {name: tmp_path / name for name in ("one", "two", "edge")}
    for folder in folders.values():
        folder.mkdir()
    alone = SETTINGS.replace("workers: 2", "workers: 1")
    one, two = Served(folders["one"], alone), Served(folders["two"], alone)
    policy = POLICY.format(one=one.ports["grpc"], two=two.ports["http"], digest="0" * 64, key=KEY_HASH)
    (folders["edge"] / "policy.yaml").write_text(policy)
    edge = Served(folders["edge"], EDGE)
    try:
        edge.wait_ready()
        wait_for(lambda: outcome(two, "http", 1, 1, sequence_start=True, sequence_end=True) == 1)
        one.stop()
        for number in range(1, 21):
            wait_for(lambda number=number: outcome(edge, "http", 1, number, sequence_start=True) == 1)
        one.start()
        wait_for(lambda: are_all_well(edge))

        found = [total(edge, "http", 1, number) for _ in range(4) for number in range(1, 21)]
    finally:
        for each in (one, two, edge):
            each.stop()

    assert found == [steps for steps in (2, 3, 4, 5) for _ in range(20)]
