"""`python -m loadtests.clients.perf_analyzer`: Triton's perf_analyzer against one process, and against
edges before it: what it sent, and what the server counted, for one to four requests at a time.

The program comes in the wheels of tritonclient until 2.40. It needs two libraries: CUDA's runtime, which is a
wheel, and libb64, a package of Debian's. All are kept below `out`, nothing of this machine is changed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_models.samples import digits
from loadtests.bench.servers import Command, free_port, server
from loadtests.peers import venv
from loadtests.peers.venv import NotInstallableError

WHEEL: Final = "tritonclient==2.40.0"
RUNTIME: Final = "nvidia-cuda-runtime-cu12"
LIBRARY: Final = "libb64-0d"
KINDS: Final = {"http": ("http",), "grpc": ("grpc",), "stream": ("grpc", "--streaming")}
LIMIT_S: Final = 300

_LISTEN: Final = "listen: {{http: '127.0.0.1:{http}', grpc: '127.0.0.1:{grpc}', admin: null}}\n"
_CENTRAL: Final = "role: central\nregion: here\nmodels: {{repository: '{repository}'}}\n"
_EDGE: Final = "role: edge\nregion: here\npolicy: {policy}\n"
_CACHE: Final = "models: {{repository: '{repository}'}}\ncache: {{memory: {{max_bytes: 67108864}}}}\n"
_POLICY: Final = """\
generation: 1
regions: {{here: {{}}}}
residency: {{anywhere: {{regions: ["*"]}}}}
tenants: {{anonymous: {{residency: anywhere}}}}
endpoints:
  central: {{tier: central, region: here, protocol: grpc, address: '127.0.0.1:{central}'}}
routes:
- {{name: digits, match: {{model: digits}}, endpoints: [central]{more}}}
"""


@dataclass(frozen=True, slots=True)
class PerfAnalyzer:
    """An installed perf_analyzer. ``folder`` holds its environment and libraries."""

    folder: Path

    @classmethod
    def install(cls, folder: Path) -> PerfAnalyzer:
        """Install into ``folder``, unless it is there.

        Raises:
            NotInstallableError, CalledProcessError: a package cannot be had.
        """
        venv.install(folder, WHEEL)
        if not list(folder.rglob("libcudart.so.12")):
            pip = [
                str(folder / "venv" / "bin" / "python"),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                RUNTIME,
            ]
            subprocess.run(pip, check=True)
        if not list(folder.rglob("libb64.so.0d")):
            subprocess.run(
                ["apt-get", "-q", "download", LIBRARY], cwd=folder, check=True, capture_output=True
            )
            (package,) = folder.glob(f"{LIBRARY}_*.deb")
            subprocess.run(["dpkg-deb", "-x", str(package), str(folder / "libb64")], check=True)
        return cls(folder)

    def run(self, port: int, kind: tuple[str, ...], window_ms: int) -> list[tuple[int, int]]:
        """Measure; return what it sent and what the server counted, for each concurrency.

        Raises:
            RuntimeError: it failed; the text says what it wrote last.
        """
        libraries = {str(found.parent) for found in self.folder.rglob("lib*.so.*[d2]")}
        words = [
            str(self.folder / "venv" / "bin" / "perf_analyzer"),
            "-m",
            "digits",
            "-u",
            f"127.0.0.1:{port}",
        ]
        words += ["-i", *kind, "--concurrency-range", "1:4", "-p", str(window_ms), "-s", "50", "-r", "5"]
        environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(sorted(libraries))}  # noqa: TID251
        try:
            ended = subprocess.run(
                words, capture_output=True, text=True, timeout=LIMIT_S, env=environment, check=False
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"not ended after {LIMIT_S} s") from None
        if not (found := counts(ended.stdout)):
            raise RuntimeError(f"exit {ended.returncode}: {(ended.stdout + ended.stderr)[-300:]}")
        return found


def counts(report: str) -> list[tuple[int, int]]:
    """Return from what it printed how many requests it sent and how many the server counted, step by step."""
    found = re.findall(
        r"^    Request count: (\d+).*?uccessful request count: (\d+)", report, re.MULTILINE | re.DOTALL
    )
    return [(int(sent), int(counted)) for sent, counted in found]


@contextmanager
def gateways(folder: Path, workers: int) -> Iterator[dict[str, dict[str, int]]]:
    """Run central, an edge without models before it, and one with a model and a cache; yield their ports."""
    folder.mkdir(parents=True, exist_ok=True)
    central = digits.CENTRAL_REPOSITORY
    digest = "sha256:" + hashlib.sha256(digits.model_path(central).read_bytes()).hexdigest()
    cached = f", digest: '{digest}', cascade: {{on_central_down: serve_edge}}"
    settings = {
        "one process": _CENTRAL.format(repository=central),
        "edge": _EDGE.format(policy="edge.policy.yaml"),
        "edge with a cache": _EDGE.format(policy="cache.policy.yaml")
        + _CACHE.format(repository=digits.EDGE_REPOSITORY),
    }
    ports = {name: {"http": free_port(), "grpc": free_port()} for name in settings}
    for name, more in (("edge", ""), ("cache", cached)):
        text = _POLICY.format(central=ports["one process"]["grpc"], more=more)
        (folder / f"{name}.policy.yaml").write_text(text)
    with ExitStack() as stack:
        for name, text in settings.items():
            file = folder / f"{name.replace(' ', '_')}.yaml"
            file.write_text(f"{text}workers: {workers}\n{_LISTEN.format(**ports[name])}")
            words = [sys.executable, "-m", "gateway", "serve", str(file)]
            log = folder / f"{file.stem}.log"
            stack.enter_context(server(Command(words=words, port=ports[name]["http"], log=log)))
        yield ports


def main() -> int:
    """Print a line for each gateway and kind of call; exit 1 when one failed, 2 when none can run."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.clients.perf_analyzer", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"), help="for files and what is installed (out)")
    parser.add_argument("--workers", type=int, default=1, help="worker processes of each gateway (1)")
    parser.add_argument("--window-ms", type=int, default=1000, help="of one measurement (1000)")
    parser.add_argument("--only", choices=("http", "grpc", "stream"), help="calls of this kind (all)")
    options = parser.parse_args()
    folder = options.out.resolve()
    try:
        tool = PerfAnalyzer.install(folder / "peers" / "perf_analyzer")
    except (NotInstallableError, subprocess.CalledProcessError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    failed = False
    kinds = [KINDS[options.only]] if options.only else list(KINDS.values())
    with gateways(folder / "perf_analyzer", options.workers) as ports:
        for name, addresses in ports.items():
            for kind in kinds:
                try:
                    pairs = tool.run(addresses[kind[0]], kind, options.window_ms)
                    result = ", ".join(f"{sent} sent {counted} counted" for sent, counted in pairs)
                except RuntimeError as error:
                    failed, result = True, str(error)
                print(f"{name}, {' '.join(kind)}: {result}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
