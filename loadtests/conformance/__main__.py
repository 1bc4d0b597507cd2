"""`make conformance`: run the suite against Edgeway, Triton and MLServer; write docs/conformance.md."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from loadtests.conformance import page, servers
from loadtests.conformance.servers import Running

SERVERS: Final[dict[str, Callable[[Path, Path], AbstractContextManager[Running]]]] = {
    "Edgeway": servers.edgeway,
    "Triton": servers.triton,
    "MLServer": servers.mlserver,
}
READY_S: Final = 60.0
ROOT: Final = Path(__file__).resolve().parent.parent.parent


def main() -> int:
    """Test the servers named, or all; exit 1 when Edgeway fails a check, 2 when a server did not start."""
    parser = argparse.ArgumentParser(prog="make conformance", description="Three servers, one suite.")
    parser.add_argument("servers", nargs="*", metavar="SERVER", help=f"of: {', '.join(SERVERS)} (all)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="for environments and reports (out)")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "conformance.md", help="what is written")
    options = parser.parse_args()
    names = options.servers or list(SERVERS)
    if unknown := set(names) - set(SERVERS):
        parser.error(f"no such server: {', '.join(sorted(unknown))}; there are: {', '.join(SERVERS)}")
    console = Console(stderr=True)
    folder = options.out.resolve()
    columns = {}
    for name in names:
        with console.status(f"installing and testing {name}"):
            try:
                columns[name] = _test(name, folder)
            except (subprocess.CalledProcessError, RuntimeError, OSError) as error:
                console.print(f"{name}: {error}", style="red")
                return 2
        console.print(f"{name}: {columns[name].counts}")
    if names == list(SERVERS):
        options.page.write_text(page.render(columns))
        console.print(f"written to {options.page}")
    return 1 if "Edgeway" in columns and columns["Edgeway"].counts["fail"] else 0


def _test(name: str, folder: Path) -> page.Column:
    report = folder / "conformance" / f"{name.lower()}.json"
    report.unlink(missing_ok=True)
    with SERVERS[name](folder / "conformance" / name.lower(), folder / "peers") as running:
        _wait(running)
        address = [f"http://127.0.0.1:{running.http}", "--grpc", f"127.0.0.1:{running.grpc}"]
        echoes = [word for echo in running.echoes for word in ("--identity", echo)]
        command = ["conformance", *address, "--model", "digits", *echoes, "--json", str(report)]
        # The exit code is 1 when a check fails, as those of peers do.
        subprocess.run([sys.executable, "-m", "gateway", *command], stdout=subprocess.DEVNULL, check=False)
    found: dict[str, Any] = json.loads(report.read_text())
    return page.Column(running.what, found["run"], found["counts"], found["checks"])


def _wait(running: Running) -> None:
    deadline = time.monotonic() + READY_S
    for model in ("digits", *running.echoes):
        while not _is_ready(f"http://127.0.0.1:{running.http}/v2/models/{model}/ready"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"'{model}' is not ready after {READY_S:g} s")
            time.sleep(0.1)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - always http
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    sys.exit(main())
