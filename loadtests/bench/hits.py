"""Case `hits`: answers out of the cache, over each wire, against Triton's response cache.

Both servers hold one answer and are asked for it again and again, in turn, each alone on one core.
"""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from gateway.wire import oip_proto
from loadtests.bench import servers, world
from loadtests.bench.rounds import in_turn, spread
from loadtests.peers.triton import Triton

ROUNDS: Final = 5
SECONDS: Final = 3
CALLS: Final = 40_000
TARGETS: Final = {"http_32": 2.0, "grpc_4x8": 2.0, "json_32": 1.0, "http_1_p50": 1.0, "grpc_1_mean": 1.0}
"""Requests per second, ours to theirs, at least; for the last two time per request, at most."""


def measure(folder: Path) -> dict[str, Any]:
    """Install Triton, start both, measure each wire in turn."""
    missing = [tool for tool in ("wrk", "h2load") if shutil.which(tool) is None]
    if missing:
        return {"skipped": f"not installed: {', '.join(missing)} (apt-get install wrk nghttp2-client)"}
    folder.mkdir(parents=True, exist_ok=True)
    try:
        triton = Triton.install(folder.parent.parent / "peers" / "triton")
    except (subprocess.CalledProcessError, OSError) as error:
        return {"skipped": f"Triton cannot be installed: {error}"}
    ports = {name: (servers.free_port(), servers.free_port()) for name in ("edgeway", "triton")}
    settings = world.write_settings(folder, http_port=ports["edgeway"][0], grpc_port=ports["edgeway"][1])
    ours = [sys.executable, "-m", "gateway", "serve", str(settings)]
    theirs = triton.command(http_port=ports["triton"][0], grpc_port=ports["triton"][1])
    with (
        servers.server(ours, ports["edgeway"][0]),
        servers.server(theirs, ports["triton"][0], triton.environment()),
    ):
        return _compare(folder, ports)


def _compare(folder: Path, ports: dict[str, tuple[int, int]]) -> dict[str, Any]:
    binary, length = world.wire_request()
    said = {"Inference-Header-Content-Length": str(length)}
    scripts = {
        "http": servers.write_script(folder, "http", binary, said),
        "json": servers.write_script(folder, "json", _as_json(), {"Content-Type": "application/json"}),
    }
    frame = folder / "grpc.body"
    message = oip_proto.encode_request(world.request()).SerializeToString()
    frame.write_bytes(b"\0" + struct.pack(">I", len(message)) + message)

    def http(port: int, wire: str, connections: int, figure: str) -> float:
        url = f"http://{world.ADDRESS}:{port}/v2/models/digits/infer"
        return servers.wrk(scripts[wire], url, connections=connections, seconds=SECONDS)[figure]

    def grpc(port: int, clients: int, streams: int, figure: str) -> float:
        url = f"http://{world.ADDRESS}:{port}/inference.GRPCInferenceService/ModelInfer"
        calls = CALLS if streams > 1 else CALLS // 4
        return servers.h2load(frame, url, clients=clients, streams=streams, requests=calls)[figure]

    results: dict[str, Any] = {"request_bytes": len(binary), "kept": True}
    for case, sample in {
        "http_32": lambda name: http(ports[name][0], "http", 32, "rps"),
        "json_32": lambda name: http(ports[name][0], "json", 32, "rps"),
        "grpc_4x8": lambda name: grpc(ports[name][1], 4, 8, "rps"),
        "http_1_p50": lambda name: http(ports[name][0], "http", 1, "p50_ms"),
        "grpc_1_mean": lambda name: grpc(ports[name][1], 1, 1, "mean_ms"),
    }.items():
        sides = {name: (lambda name=name, sample=sample: sample(name)) for name in ports}
        values = in_turn(sides, ROUNDS)
        ratio = spread([a / b for a, b in zip(values["edgeway"], values["triton"], strict=True)])
        is_time = case.startswith(("http_1_", "grpc_1_"))
        kept = ratio["median"] <= TARGETS[case] if is_time else ratio["median"] >= TARGETS[case]
        figures = {name: spread(samples) for name, samples in values.items()}
        results[case] = {**figures, "ratio": ratio, "target": TARGETS[case], "kept": kept}
        results["kept"] = results["kept"] and kept
    return results


def _as_json() -> bytes:
    tensor = world.request().inputs[0]
    data = [float(value) for value in tensor.numpy().ravel()]
    entry = {"name": tensor.name, "shape": list(tensor.shape), "datatype": tensor.datatype, "data": data}
    return json.dumps({"inputs": [entry]}).encode()
