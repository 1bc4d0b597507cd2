"""`make bench`: run the cases, write out/bench.json, show a table."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from loadtests.bench import filters, hits, http_hit

CASES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "filters": filters.measure,
    "http_hit": http_hit.measure,
    "hits": hits.measure,
}


def main() -> int:
    """Run the cases named, or all; exit 1 when a promise is not kept."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure in one run, as ratios.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of: {', '.join(CASES)} (all)")
    parser.add_argument("--out", type=Path, default=Path("out"))
    options = parser.parse_args()
    if unknown := set(options.cases) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are: {', '.join(CASES)}")
    console = Console()
    folder = options.out.resolve() / "bench"
    results: dict[str, Any] = {"when": datetime.now(UTC).isoformat(timespec="seconds"), **_machine()}
    for name in options.cases or CASES:
        with console.status(f"measuring {name}"):
            results[name] = CASES[name](folder / name)
    (options.out / "bench.json").write_text(json.dumps(results, indent=2) + "\n")
    _show(console, {name: results[name] for name in options.cases or CASES})
    console.print(f"written to {options.out / 'bench.json'}")
    return 0 if all(results[name].get("kept", False) for name in options.cases or CASES) else 1


def _show(console: Console, results: dict[str, Any]) -> None:
    table = Table("case", "figure", "value", title="bench")
    for name, result in results.items():
        for figure, value in result.items():
            table.add_row(name, figure, json.dumps(value))
    console.print(table)


def _machine() -> dict[str, str]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


if __name__ == "__main__":
    sys.exit(main())
