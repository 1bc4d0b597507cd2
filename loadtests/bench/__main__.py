"""`make bench`: run the cases, write out/bench.json and out/bench.md, show a table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console

from loadtests.bench import (
    caching,
    drips,
    edge_model,
    features,
    filters,
    geo,
    hits,
    http_hit,
    interpreter,
    json_hit,
    l2,
    memory,
    needs,
    passing,
    picking,
    planning,
    reload,
    report,
    workers,
)
from loadtests.bench.results import Result
from loadtests.bench.rounds import QUICK, THOROUGH, Bench, Effort

CASES: Final[dict[str, tuple[Callable[[Bench], Result], str]]] = {
    "filters": (filters.measure, "the whole stack for an L1 hit, without a server around it"),
    "cache": (caching.measure, "hit ratios of L1 against other policies and libraries, and what a hit costs"),
    "picking": (picking.measure, "choosing a member of a pool, without a request"),
    "geo": (geo.measure, "looking up where a client is, without a request"),
    "planning": (planning.measure, "finding the endpoints for a request, in order"),
    "reload": (reload.measure, "the slowest request while a large policy comes into force"),
    "l2": (l2.measure, "hits in Redis, against a bare pipeline of redis-py"),
    "http_hit": (http_hit.measure, "L1 hits over HTTP, against a bare aiohttp handler"),
    "hits": (hits.measure, "L1 hits over each wire, against Triton's response cache"),
    "json": (json_hit.measure, "L1 hits in JSON, against MLServer"),
    "passing": (passing.measure, "on to an upstream, against Envoy"),
    "edge_model": (edge_model.measure, "a network without a cache: MLServer, Triton, bare ONNX Runtime"),
    "features": (features.measure, "a request whose features are held, against a run of the backbone"),
    "large": (http_hit.measure_large, "L1 hits of 150 KB, against a bare aiohttp handler"),
    "workers": (workers.measure, "two workers on two cores, against one"),
    "drips": (drips.measure, "the p99 of L1 hits beside a thousand peers that drip"),
    "memory": (memory.measure, "resident memory per idle connection, and after a million requests"),
}


PEERS: Final = Path("out/peers")
"""Wherever the results go: a peer takes minutes and hundreds of megabytes to install."""

WIDTH: Final = 150
"""Of the table where it goes into a file."""


def main() -> int:
    """Run the cases named, or all; exit 1 when a promise is not kept (``--quick``: when a case fails)."""
    options = _options()
    if options.list:
        for name, (_, about) in CASES.items():
            print(f"{name:12} {about}")
        return 0
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    effort = QUICK if options.quick else THOROUGH
    names = options.cases or list(CASES)
    results: dict[str, Result] = {}
    for name in names:
        with console.status(f"measuring {name}"):
            results[name] = _measure(name, options.out.resolve(), effort)
    _write(options.out, results, effort)
    report.show(console, results)
    if options.quick:
        console.print("quick: the cases work or they do not; the figures mean nothing")
    console.print(f"written to {options.out / 'bench.json'} and {options.out / 'bench.md'}")
    return 0 if all(bool(each.rows) if options.quick else each.is_kept for each in results.values()) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure in one run, as ratios.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of: {', '.join(CASES)} (all)")
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--quick", action="store_true", help="one short round: only to see that it works")
    parser.add_argument("--list", action="store_true", help="list the cases and leave")
    options = parser.parse_args()
    if unknown := set(options.cases) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are: {', '.join(CASES)}")
    return options


def _measure(name: str, out: Path, effort: Effort) -> Result:
    bench = Bench(folder=out / "bench" / name, peers=PEERS.resolve(), effort=effort)
    bench.folder.mkdir(parents=True, exist_ok=True)
    try:
        return CASES[name][0](bench)
    except needs.MissingError as error:
        return Result(skipped=str(error))
    except (RuntimeError, OSError) as error:
        # The other cases go on: a run takes an hour.
        return Result(skipped=f"failed: {error}")


def _write(out: Path, results: dict[str, Result], effort: Effort) -> None:
    conditions = _conditions(effort)
    cases = {name: result.as_json() for name, result in results.items()}
    (out / "bench.json").write_text(json.dumps({**conditions, "cases": cases}, indent=2) + "\n")
    (out / "bench.md").write_text(report.markdown(results, conditions))


def _conditions(effort: Effort) -> dict[str, str]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "python": interpreter.describe(),
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "rounds": f"{effort.rounds} of {effort.seconds} s",
    }


if __name__ == "__main__":
    sys.exit(main())
