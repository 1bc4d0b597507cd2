"""`edgeway serve` with several workers: shared sockets, replacement without a lost connection, one end for all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.load import Load
from tests.fakes.operator import BEARER, TOKEN
from tests.fakes.served import BODY, INFER, Served

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two workers that are ready; each test leaves two behind."""
    with Served(tmp_path_factory.mktemp("workers"), "workers: 2\n") as served:
        served.wait_ready()
        yield served


def is_alive(process: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, 0)
        return True
    return False


def answered(metrics: str) -> dict[str, float]:
    """Requests that each worker has answered."""
    counts: dict[str, float] = {}
    for line in metrics.splitlines():
        if line.startswith("edgeway_requests_total{"):
            worker = line.partition('worker="')[2].partition('"')[0]
            counts[worker] = counts.get(worker, 0) + float(line.rpartition(" ")[2])
    return counts


async def under_load(served: Served, condition) -> Load:
    """Send requests until ``condition`` holds, and a hundred more."""
    load = Load(served.http)
    running = asyncio.create_task(load.run(kept=8, fresh=4, grpc_port=served.grpc))
    try:
        await asyncio.to_thread(served.wait, condition)
        enough = load.answers + 100
        await asyncio.to_thread(served.wait, lambda: load.answers >= enough)
    finally:
        load.end()
        await running
    return load


async def test_workers_share_one_port(served: Served) -> None:
    """Both answer, and the parent's metrics tell whose each series is."""
    load = await under_load(served, lambda: len(answered(served.get(served.admin, "/metrics")[1])) == 2)

    counts = answered(served.get(served.admin, "/metrics")[1])
    assert set(counts) == {"0", "1"}
    assert min(counts.values()) > 0
    assert sum(counts.values()) == load.answers
    assert not load.failures


def test_parent_answers_for_all(served: Served) -> None:
    """/readyz lists the workers, /policy and /stack the generation of each, /metrics each HELP once."""
    assert served.report("/readyz")["ready"] is True
    assert set(served.workers()) == {0, 1}
    valid = {"digits": {"valid": True}}
    served.wait(lambda: served.report("/readyz").get("certificates") == {"0": valid, "1": valid})
    assert served.report("/policy")["workers"] == {"0": 1, "1": 1}
    stacks = served.report("/stack")
    assert stacks["workers"] == {"0": 1, "1": 1}
    assert [layer["role"] for layer in stacks["routes"]["digits"]][:2] == ["residency", "deadline"]
    assert served.get(served.admin, "/metrics")[1].count("# HELP edgeway_requests_total ") == 1


def test_killed_worker_is_replaced(served: Served) -> None:
    """The other serves all the while, and the parent stays ready."""
    before = served.workers()

    os.kill(before[0], signal.SIGKILL)
    deadline = time.monotonic() + 60
    while served.workers()[0] == before[0]:
        assert served.get(served.http, "/v2/health/ready")[0] == 200
        assert served.get(served.admin, "/readyz")[0] == 200
        assert time.monotonic() < deadline, served.log()
        time.sleep(0.05)

    after = served.workers()
    assert after[1] == before[1]
    assert is_alive(after[0])


def test_stopped_worker_is_replaced(served: Served) -> None:
    """New connections do not wait for it, for no queue is its own."""
    before = served.workers()

    os.kill(before[1], signal.SIGSTOP)
    deadline = time.monotonic() + 60
    while served.workers()[1] == before[1]:
        assert served.get(served.http, "/v2/health/ready")[0] == 200
        assert time.monotonic() < deadline, served.log()

    assert f"process {before[1]}> stands still and is killed: it is stopped" in served.log()
    assert not is_alive(before[1])
    assert served.workers()[0] == before[0]


async def test_sighup_replaces_all_without_a_lost_connection(served: Served) -> None:
    """Under load of new and kept connections, HTTP/1.1 and gRPC, not one is refused, reset or answered with an error."""
    before = served.workers()
    served.write_policy(2)

    served.signal(signal.SIGHUP)
    load = await under_load(served, lambda: not any(map(is_alive, before.values())))

    assert not load.failures
    assert load.answers > 100
    assert load.connections > 50
    assert load.calls > 20
    assert set(served.workers()) == {0, 1}
    assert not set(served.workers().values()) & set(before.values())
    assert served.report("/policy")["workers"] == {"0": 2, "1": 2}


@pytest.mark.parametrize(
    ("file", "says"),
    [("edge.yaml", "the settings were not taken"), ("policy.yaml", "the new worker does not start")],
)
def test_broken_file_leaves_the_workers(served: Served, file: str, says: str) -> None:
    """At SIGHUP a file that cannot be used changes nothing; the log names it."""
    before, text = served.workers(), (served.folder / file).read_text()
    seen = served.log().count(says)

    (served.folder / file).write_text("nonsense: [\n")
    served.signal(signal.SIGHUP)
    served.wait_log(says, seen + 1)
    (served.folder / file).write_text(text)

    assert f"{file}:" in served.log()
    assert served.workers() == before
    assert served.get(served.http, "/v2/health/ready")[0] == 200


async def test_sigterm_drains_all(served: Served) -> None:
    """Not ready at once, still answering for a moment; every worker goes, and the exit code is 0."""
    workers = served.workers()
    load = Load(served.http)
    running = asyncio.create_task(load.run(kept=2, fresh=0))
    while not load.answers:
        await asyncio.sleep(0.01)

    served.signal(signal.SIGTERM)
    await asyncio.to_thread(served.wait, lambda: served.get(served.admin, "/readyz")[0] == 503)
    load.end()
    await running

    assert not load.failures
    assert await asyncio.to_thread(served.wait_exit) == 0
    assert not any(map(is_alive, workers.values()))
    assert "Traceback" not in served.log()


def test_workers_leave_when_the_parent_is_killed(tmp_path: Path) -> None:
    """Nobody serves on, unseen, behind a parent that is gone."""
    with Served(tmp_path, "workers: 2\n") as served:
        served.wait_ready()
        workers = served.workers().values()

        served.signal(signal.SIGKILL)

        served.wait(lambda: not any(map(is_alive, workers)), 10)
        assert "Traceback" not in served.log()


def test_worker_that_cannot_start_ends_the_start(tmp_path: Path) -> None:
    """The reason stands in the log, the exit code is 2, and nobody is left behind."""
    served = Served(tmp_path, "workers: 2\n")
    (tmp_path / "policy.yaml").write_text("generation: 0\n")
    with served:
        assert served.wait_exit() == 2

    assert "policy.yaml:1" in served.log()
    assert "edgeway: a worker did not start; its reason stands above" in served.log()
    assert "Traceback" not in served.log()


class Talkative(Served):
    """Each call comes on a connection of its own, so that any worker may take it."""

    def post(self, path: str, body: bytes = b"", *, port: int = 0) -> Any:
        url = f"http://127.0.0.1:{port or self.http}{path}"
        headers = {} if path == INFER or (path.endswith("/index") and not port) else BEARER
        request = urllib.request.Request(url, data=body, method="POST", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"{}")

    def answered(self) -> set[int]:
        """Successes of the model, as twelve questions saw them."""
        answers = (self.get(self.http, "/v2/models/digits/stats")[1] for _ in range(12))
        return {json.loads(text)["model_stats"][0]["inference_stats"]["success"]["count"] for text in answers}

    def logs_info(self) -> set[bool]:
        return {json.loads(self.get(self.http, "/v2/logging")[1])["log_info"] for _ in range(12)}


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talkative]:
    """Two workers behind a port that takes an operator's orders."""
    folder = tmp_path_factory.mktemp("talkative")
    access = f"admin_access: {{tokens_sha256: [{sha256(TOKEN.encode()).hexdigest()}]}}"
    protocol = "protocol: {admin_calls: true, share_statistics: true}"
    with Talkative(folder, "workers: 2\n", listen=f"{protocol}, {access}") as served:
        served.admin_headers = BEARER
        served.wait_ready()
        yield served


def test_statistics_are_of_all_workers(talkative: Talkative) -> None:
    """Whoever is asked tells the same; a worker that dies, or is replaced, takes no count along."""
    for _ in range(20):
        talkative.post(INFER, BODY)
    assert talkative.answered() == {20}

    before = talkative.workers()
    os.kill(before[0], signal.SIGKILL)
    talkative.wait(lambda: talkative.workers()[0] != before[0])
    assert talkative.answered() == {20}

    before = talkative.workers()
    # Not told to anybody before the workers that count them leave.
    for _ in range(10):
        talkative.post(INFER, BODY)
    talkative.signal(signal.SIGHUP)
    talkative.wait(lambda: not any(map(is_alive, before.values())))
    assert talkative.answered() == {30}


def test_log_settings_are_of_all_workers(talkative: Talkative) -> None:
    """They change in every one, and in those that take their places."""
    talkative.post("/v2/logging", b'{"log_info": false}')
    assert talkative.logs_info() == {False}

    before = talkative.workers()
    talkative.signal(signal.SIGHUP)
    talkative.wait(lambda: not any(map(is_alive, before.values())))

    assert talkative.logs_info() == {False}


def test_models_are_unloaded_by_all_workers(talkative: Talkative) -> None:
    """Whoever is told, the parent too; those that start later do not serve the model until it is loaded again."""
    model = "/v2/repository/models/digits"

    def states() -> set[str]:
        indices = (talkative.post("/v2/repository/index") for _ in range(12))
        return {entry["state"] for index in indices for entry in index}

    assert states() == {"READY"}
    talkative.post(f"{model}/unload")
    assert states() == {"UNAVAILABLE"}
    before = talkative.workers()
    os.kill(before[1], signal.SIGKILL)
    talkative.wait(lambda: talkative.workers()[1] != before[1])
    assert states() == {"UNAVAILABLE"}
    # The edge has no model, and the central tier of these tests does not exist.
    with pytest.raises(urllib.error.HTTPError, match="503") as refused:
        talkative.post(INFER, BODY)
    refused.value.close()

    talkative.post(f"{model}/load", port=talkative.admin)

    assert states() == {"READY"}
    assert [entry["name"] for entry in talkative.post("/v2/repository/index", port=talkative.admin)] == [
        "digits"
    ]
    assert talkative.post(INFER, BODY)["model_name"] == "digits"
    with pytest.raises(urllib.error.HTTPError, match="400") as refused:
        talkative.post(f"{model}/load", b'{"parameters": {"config": "{"}}')
    refused.value.close()


def test_sigterm_ends_a_start(tmp_path: Path) -> None:
    """Workers that load are not waited for, and leaving is no failure."""
    with Served(tmp_path, "workers: 2\n") as served:
        served.wait(lambda: served.get(served.admin, "/readyz")[0] == 503)
        served.signal(signal.SIGTERM)

        assert served.wait_exit() == 0
    assert "Traceback" not in served.log()
