"""Which cache answers how much of a load, and what that does to the time of an answer.

    python -m loadtests.shares [--requests 8000] [--seed 11]

One gateway with 1 MiB of memory (L1), a Redis (L2) and a central tier, each a process. Of the requests 80 %
are for 8,000 pictures, of which some are more popular than others (Zipf, 0.75); 20 % are for pictures that
nobody has sent before or will send again. Every picture of the 8,000 has been asked for once before. The same
load runs without caches, so that times can be compared: of requests one by one, with nothing waiting for
anything.
The same seed gives the same requests. Takes a minute and needs redis-server.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from edge_models.samples import digits
from gateway.commands.demo.zipf import zipf_order
from gateway.core.tensor import Array
from loadtests.bench import world
from loadtests.bench.rounds import cores
from loadtests.bench.servers import Command, ask, edgeway, free_port, server
from loadtests.isolation import binary, central_settings

ITEMS: Final = 8000
EXPONENT: Final = 0.75
FRESH_SHARE: Final = 0.2
MEMORY_BYTES: Final = 1 << 20
SOURCES: Final = ("l1", "l2", "central")


def pictures(numbers: Array) -> Iterator[Array]:
    """Yield a picture for each number, the same for equal ones."""
    images, _ = digits.load_split("test")
    first = digits.as_input(images[:1]).astype(np.float32)
    for number in numbers:
        picture = first.copy()
        # Two places hold every number below 2**20 exactly.
        picture.ravel()[:2] = (number >> 10) / 1024, (number & 1023) / 1024
        yield picture


def stream(requests: int, seed: int) -> Array:
    """Return the numbers of the pictures asked for: those from ``ITEMS`` on stand there once."""
    popular = zipf_order(ITEMS, requests, seed, EXPONENT)
    is_fresh = np.random.default_rng(seed + 1).random(requests) < FRESH_SHARE
    # Different seeds ask for different ones, so that what came before a measurement is not in it.
    fresh = ITEMS + (seed % 32) * (1 << 14) + np.arange(requests)
    return np.where(is_fresh, fresh, popular)


class LoadResult:
    """What answers came from, and the seconds that each took."""

    def __init__(self) -> None:
        self.sources: Counter[str] = Counter()
        self.seconds: list[float] = []

    def __repr__(self) -> str:
        return f"<LoadResult {dict(self.sources)}>"

    def share(self, source: str) -> float:
        """Return the part of the answers that came from there."""
        return self.sources[source] / max(1, self.sources.total())

    def ms(self, part: float) -> float:
        """Return a quantile of the times, in milliseconds."""
        return 1000 * float(np.quantile(self.seconds, part))


def source_of(provenance: str) -> str:
    """Return where an answer came from, in a word."""
    head, *fields = provenance.split(";")
    named = dict(field.partition("=")[::2] for field in fields)
    return named.get("level", head)


def run(port: int, numbers: Array) -> LoadResult:
    """Ask for every picture, one after the other."""
    asked = LoadResult()
    connection = http.client.HTTPConnection(world.ADDRESS, port, timeout=30)
    try:
        for picture in pictures(numbers):
            body, headers = binary(picture)
            began = time.perf_counter()
            connection.request("POST", world.PATH, body, headers)
            answer = connection.getresponse()
            answer.read()
            asked.seconds.append(time.perf_counter() - began)
            if answer.status != 200:
                raise RuntimeError(f"answered {answer.status}")
            asked.sources[source_of(answer.getheader("x-edgeway-provenance", ""))] += 1
    finally:
        connection.close()
    return asked


@contextmanager
def gateway(folder: Path, redis_program: str, *, is_cached: bool) -> Iterator[int]:
    """Run the tiers and hand out the port of the gateway."""
    http_port, central_port, redis_port = free_port(), free_port(), free_port()
    file = world.write_settings(folder, http_port=http_port)
    settings = json.loads(file.read_text())
    url = f"redis://{world.ADDRESS}:{redis_port}/0"
    settings["cache"] = {"memory": {"max_bytes": MEMORY_BYTES}, "redis": {"url": url, "timeout_ms": 250}}
    file.write_text(json.dumps(settings))
    policy_file = folder / settings["policy"]
    policy = json.loads(policy_file.read_text())
    policy["endpoints"]["central"]["address"] = f"{world.ADDRESS}:{central_port}"
    del policy["routes"][0]["cascade"]
    policy["routes"][0]["cache"] = {"enabled": is_cached}
    policy_file.write_text(json.dumps(policy))
    words = [redis_program, "--port", str(redis_port), "--bind", world.ADDRESS, "--save", ""]
    others = cores()[-1:]
    with ExitStack() as running:
        for command in (
            Command(words=words, port=redis_port, log=folder / "redis.log", on=others),
            edgeway(central_settings(folder, central_port), central_port, others),
            edgeway(file, http_port),
        ):
            running.enter_context(server(command))
        ask(http_port, *world.wire_request())
        yield http_port


def measure(folder: Path, redis_program: str, requests: int, seed: int, *, is_cached: bool) -> LoadResult:
    """Return what became of the load, once each picture has been asked for and memory is in its stride."""
    with gateway(folder, redis_program, is_cached=is_cached) as port:
        if is_cached:
            run(port, np.arange(ITEMS))
            run(port, stream(requests // 2, seed + 1))
        return run(port, stream(requests, seed))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args(arguments)
    redis_program = shutil.which("redis-server")
    if redis_program is None:
        print("redis-server is not installed", file=sys.stderr)
        return 1
    table = Table("", *SOURCES, "p50 ms", "p99 ms")
    for name, is_cached in (("with caches", True), ("without", False)):
        with tempfile.TemporaryDirectory() as folder:
            asked = measure(Path(folder), redis_program, options.requests, options.seed, is_cached=is_cached)
        shares = [f"{asked.share(source):.1%}" for source in SOURCES]
        table.add_row(name, *shares, f"{asked.ms(0.5):.2f}", f"{asked.ms(0.99):.2f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
