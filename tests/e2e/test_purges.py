"""`edgeway cache purge` and gateways of several workers: all obey at once, those to come and other regions too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.redis_server import RedisServer
from tests.fakes.served import BODY, INFER, Served

pytestmark = [pytest.mark.e2e, pytest.mark.redis]

WORKERS = 2
ORIGINS = {"edge": "computed", "cache;level=l1;origin=edge": "l1", "cache;level=l2;origin=edge": "l2"}


class Gateway(Served):
    def origin(self) -> str:
        """Where an answer comes from; the connection is a new one, so that any worker may take it."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{INFER}", data=BODY)
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()
            return ORIGINS[answer.headers["x-edgeway-provenance"]]

    def lookups(self) -> Counter[str]:
        """How often each worker has looked into its memory."""
        found: Counter[str] = Counter()
        for line in self.get(self.admin, "/metrics")[1].splitlines():
            if line.startswith("edgeway_cache_lookups_total{") and 'level="l1"' in line:
                found[line.partition('worker="')[2].partition('"')[0]] += int(float(line.rpartition(" ")[2]))
        return found

    def ask(self) -> list[str]:
        """Ask until every worker was asked several times; return where the answers came from, in order."""
        origins: list[str] = []
        before = self.lookups()

        def is_enough() -> bool:
            origins.extend(self.origin() for _ in range(10))
            asked = self.lookups() - before
            return len(asked) == WORKERS and min(asked.values()) >= 3

        self.wait(is_enough)
        return origins

    def warm(self) -> None:
        """Until every worker has the answer in its memory."""
        self.wait(lambda: set(self.ask()) == {"l1"})

    def purge(self, *options: str) -> tuple[int, dict[str, Any]]:
        command = [sys.executable, "-m", "gateway", "cache", "purge", "--json", *options]
        command += ["--admin", f"http://127.0.0.1:{self.admin}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode, json.loads(done.stdout)

    def replace_all(self) -> None:
        """Kill one worker after the other, and wait for those in their places."""
        before = self.workers()
        for number in range(WORKERS):
            os.kill(before[number], signal.SIGKILL)
            self.wait(lambda at=number: self.workers().get(at, before[at]) != before[at])


def gateway(folder: Path, redis: str = "", more: str = "") -> Gateway:
    folder.mkdir(exist_ok=True)
    made = Gateway(folder, f"workers: {WORKERS}\n{more}")
    if redis:
        text = made.settings.read_text()
        memory = "memory: {max_bytes: 16777216}"
        made.settings.write_text(text.replace(memory, f"{memory}\n  redis: {{url: '{redis}'}}"))
    return made


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as entered:
        yield entered


def test_all_workers_obey_and_those_to_come(tmp_path: Path, servers: ExitStack) -> None:
    """Without a log: each looks anew; who starts later does not find the old answer in their Redis."""
    redis = servers.enter_context(RedisServer())
    served = servers.enter_context(gateway(tmp_path, redis.url))
    served.wait_ready()
    served.warm()

    code, report = served.purge("--model", "other")
    assert (code, set(served.ask())) == (0, {"l1"})
    code, report = served.purge("--model", "digits")
    # The other may find in Redis what the first has computed; what was kept before nobody gives.
    assert (code, report["is_everywhere"], report["routes"]) == (0, False, ["digits"])
    origins = served.ask()
    assert origins[0] == "computed"
    assert origins.count("l1") <= len(origins) - WORKERS

    served.purge("--tenant", "anonymous")
    served.replace_all()
    assert served.ask()[0] == "computed"
    served.signal(signal.SIGHUP)
    before = served.workers()
    served.wait(lambda: not set(served.workers().values()) & set(before.values()))
    assert "computed" not in served.ask()
    assert "Traceback" not in served.log()


def test_another_region_obeys(tmp_path: Path, servers: ExitStack) -> None:
    """With two logs; who waits hears of all four processes, and of those that have taken their places."""
    logs = {name: servers.enter_context(RedisServer()).url for name in ("here", "there")}
    more = f"invalidation: {{redis: {json.dumps(logs)}, poll_ms: 20}}\n"
    ours = servers.enter_context(gateway(tmp_path / "ours", more=more))
    theirs = gateway(tmp_path / "theirs", more=more)
    theirs.settings.write_text(theirs.settings.read_text().replace("region: here", "region: there"))
    servers.enter_context(theirs)
    for each in (ours, theirs):
        each.wait_ready()
        each.warm()

    code, report = ours.purge("--all", "--wait")

    assert (code, report["is_everywhere"], report["unheard"]) == (0, True, [])
    readers = Counter(reader["region"] for reader in report["readers"])
    assert readers == {"here": WORKERS, "there": WORKERS}
    for each in (ours, theirs):
        assert each.ask().count("computed") == WORKERS
        each.warm()
    code, report = theirs.purge("--model", "digits", "--region", "here", "--wait")
    assert code == 0
    assert set(theirs.ask()) == {"l1"}
    assert ours.ask().count("computed") == WORKERS
    assert {
        log["state"] for each in ours.report("/readyz")["invalidation"].values() for log in each.values()
    } == {"following"}
