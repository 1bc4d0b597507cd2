"""`python -m loadtests.clients.triton_examples`: Triton's own Python examples, as they are, against Edgeway.

They are `src/python/examples` of github.com/triton-inference-server/client and not in this repository: fetch
that folder and name it. Examples for CUDA's shared memory and for models of gigabytes are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from rich.console import Console
from rich.table import Table

from loadtests.clients.arrangements import ADDRESS, ARRANGEMENTS, TOKEN, Ports
from loadtests.clients.triton_models import ENTRIES

Protocol = Literal["http", "grpc"]
MODELS: Final[dict[Protocol, int]] = {"http": 7, "grpc": 8}
"""How many models the examples of each protocol count in the repository."""

LIMIT_S: Final = 60.0
READY_S: Final = 60.0
_WHERE: Final = "the folder src/python/examples of github.com/triton-inference-server/client"
_LAST_WORDS: Final = ("Unclosed", "client_session:", "connector:", "connections:", "  warnings.warn(")
"""What is said at the end of clients and memory that were not closed, after what went wrong."""
_SITE: Final = Path(__file__).with_name("operator_site")
_REUSE: Final = "reuse_infer_objects_client.py"


@dataclass(frozen=True, slots=True)
class Example:
    """One way to run a file: over this protocol, with these options."""

    file: Path
    protocol: Protocol
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the table calls it."""
        return " ".join((self.file.stem, *self.options))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended; ``reason``: its last line, empty when it passed."""

    name: str
    passed: bool
    reason: str


def main() -> int:
    """Run them; the exit code is 1 when one has failed, 2 when a server does not start."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.clients.triton_examples", description=__doc__)
    parser.add_argument("--examples", type=Path, required=True, metavar="FOLDER", help=_WHERE)
    parser.add_argument("--only", default="", metavar="WORD", help="only those whose name has this word")
    parser.add_argument("--against", nargs="*", choices=ARRANGEMENTS, default=list(ARRANGEMENTS))
    parser.add_argument("--out", type=Path, default=Path("out"), help="for files and what is installed (out)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    options = parser.parse_args()
    examples = [example for example in find(options.examples) if options.only in example.name]
    if not examples:
        parser.error(f"no such example in {options.examples}; what is wanted is {_WHERE}")
    console = Console()
    results = {}
    for name in options.against:
        try:
            results[name] = list(_run_all(name, examples, options.out.resolve()))
        except (subprocess.CalledProcessError, RuntimeError, OSError) as error:
            console.print(f"{name}: {error}", style="red")
            return 2
    _print(console, results)
    if options.json:
        found = {name: [asdict(outcome) for outcome in outcomes] for name, outcomes in results.items()}
        options.json.write_text(json.dumps(found, indent=1))
    return 0 if all(outcome.passed for outcomes in results.values() for outcome in outcomes) else 1


def find(folder: Path) -> Iterator[Example]:
    """Return what can be run; those that unload a model come last."""
    files = sorted(folder.glob("*.py"), key=lambda file: ("model_control" in file.name, file.name))
    for file in files:
        if "cudashm" in file.name:
            continue
        if file.name == _REUSE:
            yield Example(file, "http", ("-i", "http"))
            yield Example(file, "grpc", ("-i", "grpc"))
        elif file.name.startswith("simple_http_"):
            yield Example(file, "http")
        elif file.name.startswith(("simple_grpc_", "grpc_explicit_")):
            yield Example(file, "grpc")
        if "sequence" in file.name:
            yield Example(file, "grpc" if "grpc" in file.name else "http", ("-d",))


def run(example: Example, port: int) -> Outcome:
    """Run one against the server at ``port``."""
    words = [sys.executable, str(example.file), "-u", f"{ADDRESS}:{port}", *example.options]
    environment = dict(os.environ)  # noqa: TID251 - a child's environment, not settings of ours
    if "model_control" in example.file.name:
        environment |= {"PYTHONPATH": str(_SITE), "EXAMPLES_TOKEN": TOKEN}
    try:
        ended = subprocess.run(
            words, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Outcome(example.name, passed=False, reason=f"not ended after {LIMIT_S:g} s")
    lines = [line for line in (ended.stdout + ended.stderr).splitlines() if _is_telling(line)]
    # Some end with 0 whatever happens, and say so when all was well.
    told = "PASS" in ended.stdout or "PASS" not in example.file.read_text()
    passed = ended.returncode == 0 and told
    return Outcome(example.name, passed, "" if passed else lines[-1][:300] if lines else "no word")


def _is_telling(line: str) -> bool:
    return bool(line.strip()) and not line.startswith(_LAST_WORDS) and "resource_tracker" not in line


def _run_all(name: str, examples: Sequence[Example], out: Path) -> Iterator[Outcome]:
    for protocol, count in MODELS.items():
        chosen = [example for example in examples if example.protocol == protocol]
        if not chosen:
            continue
        folder = out / "clients" / name.replace(" ", "-") / protocol
        folder.mkdir(parents=True, exist_ok=True)
        with ARRANGEMENTS[name](folder, out / "peers", count) as ports:
            _wait(ports, count)
            for example in chosen:
                yield run(example, ports.http if protocol == "http" else ports.grpc)


def _wait(ports: Ports, count: int) -> None:
    """Wait until the last model that everybody can serve is ready, or for long enough."""
    name = [entry.name for entry in ENTRIES[:count] if entry.graph is not None][-1]
    url = f"http://{ADDRESS}:{ports.http}/v2/models/{name}/ready"
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"{name} is not ready after {READY_S:g} s")


def _print(console: Console, results: dict[str, list[Outcome]]) -> None:
    table = Table("example", *(f"{name}: {_share(found)}" for name, found in results.items()))
    for rows in zip(*results.values(), strict=True):
        table.add_row(rows[0].name, *("pass" if row.passed else "FAIL" for row in rows))
    console.print(table)
    for name, found in results.items():
        for row in found:
            if not row.passed:
                console.print(f"{name}: {row.name}: {row.reason}", markup=False, soft_wrap=True)


def _share(outcomes: Sequence[Outcome]) -> str:
    return f"{sum(outcome.passed for outcome in outcomes)} of {len(outcomes)}"


if __name__ == "__main__":
    sys.exit(main())
