"""Case `edge_model`: a small network that computes every answer, without a cache.

The same ONNX file in Edgeway's process, in MLServer, in Triton's Python backend, and bare in ONNX Runtime,
which runs at the batch sizes that Edgeway ran in the same round. Edgeway is started three times, with its
batching as it comes, with single rows on the event loop, and with what comes in one turn of the loop run
there as one: the setting with the highest median makes the rows, and the others are among the details.
MLServer takes no binary tensors over HTTP, so it gets JSON over HTTP and raw contents over gRPC; the
faster of the two counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from edge_models.samples import digits
from loadtests.bench import loads, needs, network, servers, world
from loadtests.bench.bare_onnx import rows_per_second
from loadtests.bench.results import Result, Row, Target, spreads
from loadtests.bench.rounds import Bench, cores, in_turn
from loadtests.peers import onnx_models
from loadtests.peers.mlserver import MLServer
from loadtests.peers.triton import Triton

CONNECTIONS: Final = 32
SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "batched": {},
    "inline": {"inline_max_rows": 1},
    "joined": {"inline_max_rows": 32, "inline_join": True},
}
WORDS: Final = {
    "batched": "requests that wait are joined, in a thread",
    "inline": "single rows run on the event loop",
    "joined": "what comes in one turn of the event loop runs there as one",
}
TARGETS: Final = {"mlserver": Target(5.0), "triton": Target(1.5), "bare": Target(0.5)}
NAMES: Final = {
    "mlserver": "MLServer, JSON or gRPC",
    "triton": "Triton, Python backend",
    "bare": "bare ONNX Runtime, same batch sizes",
}
_ROWS_CERTIFIED: Final = 500


class Ports(NamedTuple):
    """The ports of all servers."""

    batched: int
    inline: int
    joined: int
    triton: int
    mlserver: int
    mlserver_grpc: int


def measure(bench: Bench) -> Result:
    """Install the peers, write the network, start all servers, load them in turn."""
    needs.programs("wrk", "h2load")
    model = network.write_network(bench.folder / "network.onnx")
    mlserver, triton = MLServer(bench.peers / "mlserver"), Triton(bench.peers / "triton")
    needs.peer("MLServer", partial(_install, mlserver))
    needs.peer("Triton", partial(_install, triton))
    ports = Ports(*(servers.free_port() for _ in Ports._fields))
    commands = (
        *(_edgeway(bench, model, name, getattr(ports, name)) for name in SETTINGS),
        _triton(triton, model, ports, bench.folder / "triton.log"),
        _mlserver(mlserver, model, ports, bench.folder / "mlserver.log"),
    )
    with ExitStack() as running:
        for command in commands:
            running.enter_context(servers.server(command))
        batches: dict[str, Counter[int]] = {name: Counter() for name in SETTINGS}
        values = in_turn(_sides(bench, model, ports, batches), bench.effort.rounds)
    return judge(values, batches)


def batches_of(statistics: Mapping[str, Any]) -> Counter[int]:
    """Return how often each batch size ran, of what ``/v2/models/M/stats`` says."""
    return Counter(
        {
            each["batch_size"]: each["compute_infer"]["count"]
            for version in statistics["model_stats"]
            for each in version["batch_stats"]
        }
    )


def judge(values: Mapping[str, list[float]], batches: Mapping[str, Counter[int]]) -> Result:
    """Return the rows of the better setting; ``batches`` are those of the last round."""
    best = max(SETTINGS, key=lambda name: median(values[name]))
    mlserver = [max(pair) for pair in zip(values["mlserver_json"], values["mlserver_grpc"], strict=True)]
    theirs = {"mlserver": mlserver, "triton": values["triton"], "bare": values[f"bare_{best}"]}
    last = batches[best]
    rows_in_mean = sum(size * count for size, count in last.items()) / last.total()
    rows = tuple(
        Row.against(
            NAMES[peer],
            theirs[peer],
            what=f"edge model, no cache, HTTP binary, {CONNECTIONS} connections",
            unit="req/s",
            target=target,
            ours=values[best],
            note=f"{WORDS[best]}: batches of {rows_in_mean:.3g} in the mean" if peer == "bare" else "",
        )
        for peer, target in TARGETS.items()
    )
    sizes = {name: {str(size): each[size] for size in sorted(each)} for name, each in batches.items()}
    return Result(rows=rows, details={"setting": best, "batches": sizes, **spreads(values)})


def _sides(
    bench: Bench, model: Path, ports: Ports, batches: Mapping[str, Counter[int]]
) -> dict[str, Callable[[], float]]:
    body, headers = world.wire_request()
    script = loads.write_script(bench.folder, "http", body, headers)
    json_script = loads.write_script(bench.folder, "json", *world.json_request())
    frame = loads.write_message(bench.folder)
    for port in (ports.batched, ports.inline, ports.joined, ports.triton):
        servers.ask(port, body, headers)
    servers.ask(ports.mlserver, *world.json_request())
    servers.ask_grpc(ports.mlserver_grpc)
    seconds, calls = bench.effort.seconds, max(1000, bench.effort.calls // 10)

    def http(script: Path, port: int) -> float:
        return loads.wrk(script, port, connections=CONNECTIONS, seconds=seconds).rps

    def grpc(port: int) -> float:
        return loads.grpc(frame, port, clients=4, streams=8, calls=calls).rps

    def edgeway(port: int, sizes: Counter[int]) -> float:
        before = _batches(port)
        rps = http(script, port)
        sizes.clear()
        sizes.update(_batches(port) - before)
        return rps

    ours = {name: partial(edgeway, getattr(ports, name), batches[name]) for name in SETTINGS}
    bare = {f"bare_{name}": partial(_bare, model, batches[name], seconds) for name in SETTINGS}
    return {
        **ours,
        **bare,
        "triton": partial(http, script, ports.triton),
        "mlserver_json": partial(http, json_script, ports.mlserver),
        "mlserver_grpc": partial(grpc, ports.mlserver_grpc),
    }


def _bare(model: Path, batches: Mapping[int, int], seconds: float) -> float:
    request = json.dumps({"sizes": sorted(batches), "seconds": seconds})
    core = str(cores()[0])
    words = ["taskset", "-c", core, sys.executable, "-m", "loadtests.bench.bare_onnx", str(model), request]
    output = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return rows_per_second(batches, {int(size): time for size, time in json.loads(output).items()})


def _batches(port: int) -> Counter[int]:
    return batches_of(servers.get(port, f"/v2/models/{digits.MODEL}/stats"))


def _install(peer: MLServer | Triton) -> None:
    peer.install(peer.folder)
    onnx_models.add_runtime(peer.folder)


def _edgeway(bench: Bench, model: Path, name: str, port: int) -> servers.Command:
    sample = digits.as_input(digits.load_split("calibration")[0])[:_ROWS_CERTIFIED]
    settings = world.write_computing(
        bench.folder / name, model, sample, http_port=port, batching=SETTINGS[name]
    )
    return servers.edgeway(settings, port)


def _triton(triton: Triton, model: Path, ports: Ports, log: Path) -> servers.Command:
    grpc = servers.free_port()
    words = onnx_models.triton_command(triton, model, http_port=ports.triton, grpc_port=grpc)
    return servers.Command(words=words, port=ports.triton, log=log, environment=triton.environment())


def _mlserver(mlserver: MLServer, model: Path, ports: Ports, log: Path) -> servers.Command:
    words = onnx_models.mlserver_command(
        mlserver, model, http_port=ports.mlserver, grpc_port=ports.mlserver_grpc
    )
    environment = onnx_models.mlserver_environment(mlserver)
    return servers.Command(words=words, port=ports.mlserver, log=log, environment=environment)
