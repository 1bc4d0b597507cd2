"""Case `edge_model`: a small network that answers everything anew, without a cache.

The same ONNX file in Edgeway's process, in MLServer, in Triton's Python backend, and bare in ONNX Runtime,
which runs at the batch sizes that Edgeway had a moment before. MLServer takes no binary tensors over HTTP:
it is asked in JSON, and over gRPC with raw contents, and the faster of the two counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from edge_models.samples import digits
from gateway.wire import oip_proto
from loadtests.bench import loads, needs, network, servers, world
from loadtests.bench.bare_onnx import rows_per_second
from loadtests.bench.results import Result, Row, Target, spreads
from loadtests.bench.rounds import Bench, cores, in_turn
from loadtests.peers import onnx_models
from loadtests.peers.mlserver import MLServer
from loadtests.peers.triton import Triton

CONNECTIONS: Final = 32
PEERS: Final = {"mlserver": Target(5.0), "triton": Target(1.5), "bare": Target(0.5)}
NAMES: Final = {
    "mlserver": "MLServer, JSON or gRPC",
    "triton": "Triton, Python backend",
    "bare": "bare ONNX Runtime, same batch sizes",
}
_ROWS_CERTIFIED: Final = 500


class Ports(NamedTuple):
    """Of all servers."""

    edgeway: int
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
    sample = digits.as_input(digits.load_split("calibration")[0])[:_ROWS_CERTIFIED]
    settings = world.write_computing(bench.folder, model, sample, http_port=ports.edgeway)
    with ExitStack() as running:
        for command in (
            servers.edgeway(settings, ports.edgeway),
            _triton(triton, model, ports, bench.folder / "triton.log"),
            _mlserver(mlserver, model, ports, bench.folder / "mlserver.log"),
        ):
            running.enter_context(servers.server(command))
        return _compare(bench, model, ports)


def batches_of(statistics: Mapping[str, Any]) -> Counter[int]:
    """Return how often each batch size ran, of what ``/v2/models/M/stats`` says."""
    return Counter(
        {
            each["batch_size"]: each["compute_infer"]["count"]
            for version in statistics["model_stats"]
            for each in version["batch_stats"]
        }
    )


def _compare(bench: Bench, model: Path, ports: Ports) -> Result:
    body, headers = world.wire_request()
    script = loads.write_script(bench.folder, "http", body, headers)
    json_script = loads.write_script(bench.folder, "json", *world.json_request())
    frame = loads.write_message(bench.folder, oip_proto.encode_request(world.request()).SerializeToString())
    for port in (ports.edgeway, ports.triton):
        servers.ask(port, body, headers)
    servers.ask(ports.mlserver, *world.json_request())
    seconds, calls = bench.effort.seconds, max(1000, bench.effort.calls // 10)
    seen: Counter[int] = Counter()
    latest: Counter[int] = Counter()

    def edgeway() -> float:
        before = _batches(ports.edgeway)
        rps = load(script, ports.edgeway)
        latest.clear()
        latest.update(_batches(ports.edgeway) - before)
        seen.update(latest)
        return rps

    def load(script: Path, port: int) -> float:
        return loads.wrk(script, port, connections=CONNECTIONS, seconds=seconds).rps

    sides = {
        "edgeway": edgeway,
        "triton": lambda: load(script, ports.triton),
        "mlserver_json": lambda: load(json_script, ports.mlserver),
        "mlserver_grpc": lambda: (
            loads.grpc(frame, ports.mlserver_grpc, clients=4, streams=8, calls=calls).rps
        ),
        "bare": lambda: _bare(model, latest, seconds),
    }
    values = in_turn(sides, bench.effort.rounds)
    mlserver = [max(pair) for pair in zip(values["mlserver_json"], values["mlserver_grpc"], strict=True)]
    mean = sum(size * count for size, count in seen.items()) / seen.total()
    rows = tuple(
        Row.against(
            NAMES[peer],
            mlserver if peer == "mlserver" else values[peer],
            what=f"edge model, no cache, {CONNECTIONS} connections",
            unit="req/s",
            target=target,
            ours=values["edgeway"],
            note=f"Edgeway's batches had {mean:.1f} rows in the mean" if peer == "bare" else "",
        )
        for peer, target in PEERS.items()
    )
    return Result(rows=rows, details={**spreads(values), "batches": {str(k): seen[k] for k in sorted(seen)}})


def _bare(model: Path, batches: Mapping[int, int], seconds: float) -> float:
    asked = json.dumps({"sizes": sorted(batches), "seconds": seconds})
    core = str(cores()[0])
    words = ["taskset", "-c", core, sys.executable, "-m", "loadtests.bench.bare_onnx", str(model), asked]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return rows_per_second(batches, {int(size): time for size, time in json.loads(said).items()})


def _batches(port: int) -> Counter[int]:
    return batches_of(servers.get(port, f"/v2/models/{digits.MODEL}/stats"))


def _install(peer: MLServer | Triton) -> None:
    peer.install(peer.folder)
    onnx_models.add_runtime(peer.folder)


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
