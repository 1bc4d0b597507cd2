"""Where the time of a request goes: samples of py-spy in a loaded server, by part of the code.

``python -m loadtests.bench.profiles`` writes out/profiles.md. It says where to look, not how fast anything
is: sampling slows the server down.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from edge_models.samples import digits
from loadtests.bench import loads, network, servers, world
from loadtests.bench.rounds import cores

Load = Callable[[], loads.Load]

SECONDS: Final = 10
_RATE: Final = 500
_ROWS: Final = 500
ELSE: Final = "event loop, reading sockets"
AREAS: Final[tuple[tuple[str, str], ...]] = (
    ("http1/writer.py:flush", "writing sockets"),
    ("http2/writer.py:flush", "writing sockets"),
    ("client/http1_connection.py:send", "writing sockets"),
    ("edge_models/session.py", "ONNX Runtime"),
    ("gateway/http/framing/", "framing (llhttp, nghttp2)"),
    ("gateway/http/server/", "connections and streams"),
    ("gateway/listeners/", "REST and gRPC"),
    ("gateway/wire/", "codecs"),
    ("gateway/telemetry/", "telemetry"),
    ("gateway/http/client/", "upstream client"),
    ("gateway/upstreams/", "upstream client"),
    ("cache/", "cache: key, look-up"),
    ("edge_models/", "cascade, batching"),
    ("resilience/", "filters, deadlines, retries"),
    ("routing/", "filters, deadlines, retries"),
    ("gateway/app/", "filters, deadlines, retries"),
    ("gateway/core/", "tensors, steps, tasks"),
)
"""What a frame's path and function contain → what it is for; the first that fits counts."""


def area_of(stack: str) -> str:
    """Return the area of our innermost frame; ``stack`` is as py-spy writes it, outermost first."""
    for frame in reversed(stack.split(";")):
        name, _, rest = frame.partition(" (")
        place = f"{rest.rsplit(':', 1)[0]}:{name.rsplit('.', 1)[-1]}"
        for part, area in AREAS:
            if f"/{part}" in f"/{place}":
                return area
    return ELSE


def shares(raw: str) -> dict[str, float]:
    """Return each area's share of the samples that py-spy wrote in its raw form."""
    counted: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        counted[area_of(stack)] += int(count)
    return {area: count / counted.total() for area, count in counted.most_common()}


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Return the shares of all cases as Markdown, the largest areas first."""
    areas = sorted({area for each in found.values() for area in each}, key=_weight(found), reverse=True)
    rows = [["share of the time", *found], ["---", *["---:"] * len(found)]]
    rows += [[area, *(f"{each.get(area, 0):.0%}" for each in found.values())] for area in areas]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def _weight(found: Mapping[str, Mapping[str, float]]) -> Callable[[str], float]:
    return lambda area: sum(each.get(area, 0.0) for each in found.values())


def profile(pid: int, load: Load, file: Path) -> dict[str, float]:
    """Sample a process while it is loaded; ``file`` keeps the stacks.

    Raises:
        subprocess.CalledProcessError: py-spy may not look into it: run this as root, or with ptrace allowed.
    """
    words = ["py-spy", "record", "--gil", "--pid", str(pid), "--rate", str(_RATE)]
    words += ["--duration", str(SECONDS - 2), "--format", "raw", "--output", str(file)]
    with ThreadPoolExecutor(1) as pool:
        loaded = pool.submit(load)
        subprocess.run(
            [str(Path(sys.executable).parent / words[0]), *words[1:]], check=True, capture_output=True
        )
        loaded.result()
    return shares(file.read_text())


@contextmanager
def hits(folder: Path) -> Iterator[tuple[int, dict[str, Load]]]:
    """L1 hits, over HTTP and over gRPC."""
    http, grpc = servers.free_port(), servers.free_port()
    settings = world.write_settings(folder, http_port=http, grpc_port=grpc)
    body, headers = world.wire_request()
    binary, json = (
        loads.write_script(folder, "http", body, headers),
        loads.write_script(folder, "json", *world.json_request()),
    )
    frame = loads.write_message(folder)
    with servers.server(servers.edgeway(settings, http)) as pid:
        servers.ask_for_hit(http, body, headers)
        yield (
            pid,
            {
                "L1 hit, HTTP": partial(loads.wrk, binary, http, connections=32, seconds=SECONDS),
                "L1 hit, JSON": partial(loads.wrk, json, http, connections=32, seconds=SECONDS),
                "L1 hit, gRPC": partial(
                    loads.grpc, frame, grpc, clients=4, streams=8, calls=SECONDS * 15_000
                ),
            },
        )


@contextmanager
def edge_model(folder: Path) -> Iterator[tuple[int, dict[str, Load]]]:
    """The edge model without a cache, what comes in one turn of the loop as one run."""
    port = servers.free_port()
    model = network.write_network(folder / "network.onnx")
    sample = digits.as_input(digits.load_split("calibration")[0])[:_ROWS]
    batching = {"inline_max_rows": 32, "inline_join": True}
    settings = world.write_computing(folder, model, sample, http_port=port, batching=batching)
    body, headers = world.wire_request()
    script = loads.write_script(folder, "http", body, headers)
    with servers.server(servers.edgeway(settings, port)) as pid:
        servers.ask(port, body, headers)
        yield pid, {"edge model": partial(loads.wrk, script, port, connections=32, seconds=SECONDS)}


@contextmanager
def passing(folder: Path) -> Iterator[tuple[int, dict[str, Load]]]:
    """Forwarded to an upstream."""
    port, upstream = servers.free_port(), servers.free_port()
    settings = world.write_passing(folder, http_port=port, upstream_port=upstream)
    words = [sys.executable, "-m", "loadtests.bench.fixed_upstream", str(upstream)]
    behind = servers.Command(words=words, port=upstream, log=folder / "upstream.log", on=cores()[1:])
    body, headers = world.wire_request()
    script = loads.write_script(folder, "http", body, headers)
    with servers.server(behind), servers.server(servers.edgeway(settings, port)) as pid:
        servers.ask(port, body, headers)
        yield pid, {"passing on": partial(loads.wrk, script, port, connections=32, seconds=SECONDS)}


def main() -> int:
    """Profile all cases; print and write the table."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench.profiles", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"))
    out: Path = parser.parse_args().out.resolve()
    found: dict[str, dict[str, float]] = {}
    for world_of in (hits, edge_model, passing):
        folder = out / "profiles" / world_of.__name__
        folder.mkdir(parents=True, exist_ok=True)
        with world_of(folder) as (pid, cases):
            for name, load in cases.items():
                print(f"profiling {name} for {SECONDS} s", file=sys.stderr)
                found[name] = profile(pid, load, folder / f"{name.replace(', ', '_').replace(' ', '_')}.txt")
    text = table(found)
    (out / "profiles.md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
