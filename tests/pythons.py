"""Run the tests with every supported Python that is here, each in an environment of its own.

    python3 tests/pythons.py                          those on the PATH and of pyenv, the newest of each version
    python3 tests/pythons.py /opt/py/bin/python3.14   that one in place of the 3.14 that would be found
    python3 tests/pythons.py --fast                   only the fast part: `make test-fast`
    python3 tests/pythons.py --setup                  only make their environments
    python3 tests/pythons.py --fast --others          without the version that this is, which `make test` is for
    python3 tests/pythons.py --bench hits filters     `make bench` with these cases, side by side in a table
    python3 tests/pythons.py --list                   only tell what would be run

`make test-pythons` calls it. What each run printed is in out/pythons/. Only the standard library is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "out" / "pythons"
MINORS = (11, 12, 13, 14)
TAIL_LINES = 60
SETUP = "setup"
PROBE = """
import json, os, sys, sysconfig
base = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
print(json.dumps([sys.version_info[:3], base, bool(sysconfig.get_config_var("Py_GIL_DISABLED"))]))
"""
# What make hands on to a make within it: the words of the outer call are not for the inner one.
MAKES_OWN = {"MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "ARGS", "PYTHONS", "PYTHON", "VENV"}
COUNTS = re.compile(r"^=* ?((?:\d+ \w+(?:, )?)+) in [\d.]+s", re.MULTILINE)
REASONS = re.compile(r"^SKIPPED \[\d+\] (.*)$", re.MULTILINE)


class Interpreter(NamedTuple):
    """A Python of this machine."""

    version: tuple[int, int, int]
    path: str

    @property
    def name(self) -> str:
        return ".".join(map(str, self.version))


def main() -> int:
    """Run the tests with each; return 1 if any of them failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pythons", nargs="*", metavar="PYTHON", help="interpreters by name or path")
    parser.add_argument("--fast", action="store_true", help="only the fast part")
    parser.add_argument("--setup", action="store_true", help="only make the environments")
    parser.add_argument("--others", action="store_true", help="without the version that runs this")
    parser.add_argument("--bench", nargs="+", metavar="CASE", help="measure instead of testing")
    parser.add_argument("--list", action="store_true", help="only tell what would be run")
    options = parser.parse_args()
    try:
        found = choose(options.pythons)
    except ValueError as error:
        parser.error(str(error))
    here = {each.version[1] for each in found}
    if options.others:
        found = [each for each in found if each.version[1] != sys.version_info[1]]
    for interpreter in found:
        print(f"Python {interpreter.name:8} {interpreter.path}")
    missing = [f"3.{minor}" for minor in MINORS if minor not in here]
    if missing:
        print(f"not here, and not tested: {', '.join(missing)}")
    if options.list:
        return 0
    OUT.mkdir(parents=True, exist_ok=True)
    if options.bench:
        return bench(found, options.bench)
    target = SETUP if options.setup else "test-fast" if options.fast else "test"
    verdicts = [run(interpreter, target) for interpreter in found]
    return 0 if (found or options.others) and all(verdicts) else 1


def choose(named: list[str]) -> list[Interpreter]:
    """Return one interpreter for each minor version: the one that was named, else the newest that is here.

    Raises:
        ValueError: one that was named is none, or is not supported.
    """
    chosen: dict[int, Interpreter] = {}
    for name in named:
        interpreter = probe(name)
        if interpreter is None:
            raise ValueError(f"{name} is no Python of 3.{MINORS[0]} to 3.{MINORS[-1]} that starts here")
        chosen[interpreter.version[1]] = interpreter
    for interpreter in sorted(filter(None, map(probe, candidates())), reverse=True):
        chosen.setdefault(interpreter.version[1], interpreter)
    return [chosen[minor] for minor in sorted(chosen)]


def candidates() -> Iterator[str]:
    """Return where interpreters usually are."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for minor in MINORS:
        yield from map(str, pyenv.glob(f"3.{minor}.*/bin/python3.{minor}"))
        if (on_path := shutil.which(f"python3.{minor}")) is not None:
            yield on_path
    yield "python3"


def probe(name: str) -> Interpreter | None:
    """Return what ``name`` is; None for what does not start, is not supported, or has no global lock."""
    try:
        said = subprocess.run([name, "-c", PROBE], capture_output=True, check=True, timeout=60).stdout
        version, path, is_free_threaded = json.loads(said)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    if version[0] != 3 or version[1] not in MINORS or is_free_threaded:
        return None
    return Interpreter((version[0], version[1], version[2]), path)


def run(interpreter: Interpreter, target: str) -> bool:
    """Run `make TARGET` with it, print what came of it in a line or two, and return whether it passed."""
    log = OUT / f"{interpreter.name}-{target}.log"
    print(f"Python {interpreter.name:8} make {target} …", end="", flush=True)
    began = time.monotonic()
    code = make(interpreter, target, log)
    said = log.read_text(errors="replace")
    counts = COUNTS.findall(said)
    what = counts[-1] if counts else "no test ended"
    if target == SETUP:
        what = "its environment"
    verdict = "passed" if code == 0 and (counts or target == SETUP) else "FAILED"
    print(
        f"\rPython {interpreter.name:8} {verdict}: {what}, {time.monotonic() - began:.0f} s with its set-up"
    )
    show("skipped: ", REASONS.findall(said))
    if verdict == "FAILED":
        show("", said.splitlines()[-TAIL_LINES:])
        print(f"  all of it: {log.relative_to(ROOT)}")
    return verdict == "passed"


def make(interpreter: Interpreter, target: str, log: Path, *words: str) -> int:
    """Run `make TARGET` with an interpreter, all that it prints going to ``log``; return the exit code."""
    environment = {name: value for name, value in os.environ.items() if name not in MAKES_OWN}
    command = ["make", "--no-print-directory", target, f"PYTHON={interpreter.path}", *words]
    with log.open("w") as file:
        ended = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT, check=False
        )
    return ended.returncode


def bench(found: list[Interpreter], cases: list[str]) -> int:
    """Measure with each in turn, write the figures side by side to out/pythons/bench.md, and show them."""
    columns: list[str] = []
    rows: dict[tuple[str, int, str], dict[int, str]] = {}
    for interpreter in found:
        folder = OUT / interpreter.name
        print(f"Python {interpreter.name:8} make bench {' '.join(cases)} …", flush=True)
        log, figures = OUT / f"{interpreter.name}-bench.log", folder / "bench.json"
        figures.unlink(missing_ok=True)
        make(interpreter, "bench", log, f"ARGS={' '.join(cases)} --out {folder.relative_to(ROOT)}")
        try:
            result = json.loads(figures.read_text())
        except (OSError, ValueError):
            print(f"  it left no figures: {log.relative_to(ROOT)}")
            continue
        for case, each in result["cases"].items():
            if "skipped" in each:
                print(f"  {case} was skipped: {each['skipped']}")
            for number, row in enumerate(each.get("rows", ())):
                rows.setdefault((case, number, row["what"]), {})[len(columns)] = cell(row)
        columns.append(result["python"])
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for (_, _, what), cells in rows.items():
        lines.append(f"| {what} | {' | '.join(cells.get(number, '') for number in range(len(columns)))} |")
    (OUT / "bench.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    return 0 if len(columns) == len(found) else 1


def cell(row: dict) -> str:
    """Return a figure, and its ratio to the peer's in the same run."""
    median = float(f"{row['ours']['median']:.4g}")
    ours = f"{median:,g} {row['unit']}"
    ratio = row.get("ratio")
    return (
        f"{ours}, {ratio['median']:.2f} x ({ratio['lowest']:.2f} to {ratio['highest']:.2f})"
        if ratio
        else ours
    )


def show(label: str, lines: Iterable[str]) -> None:
    for line in lines:
        print(f"  {label}{line}")


if __name__ == "__main__":
    sys.exit(main())
