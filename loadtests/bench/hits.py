"""Case `hits`: answers out of the cache, over each protocol, against Triton's response cache.

Both servers hold one answer and get the same request again and again, in turn, each alone on one core.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from loadtests.bench import loads, needs, servers, world
from loadtests.bench.results import Result, Row, Target
from loadtests.bench.rounds import Bench, in_turn
from loadtests.peers.triton import Triton

PEER: Final = "Triton, response cache"


class Ports(NamedTuple):
    """The ports of one server."""

    http: int
    grpc: int


class Wire(NamedTuple):
    """One row: the protocol and how a server is loaded over it, and the figure to reach."""

    what: str
    unit: str
    target: Target
    sample: Callable[[Ports], float]


def measure(bench: Bench) -> Result:
    """Install Triton, start both, measure each protocol in turn."""
    needs.programs("wrk", "h2load")
    triton = needs.peer("Triton", lambda: Triton.install(bench.peers / "triton"))
    ports = {name: Ports(servers.free_port(), servers.free_port()) for name in ("edgeway", "triton")}
    ours, theirs = ports["edgeway"], ports["triton"]
    settings = world.write_settings(bench.folder, http_port=ours.http, grpc_port=ours.grpc)
    peer = servers.Command(
        words=triton.command(http_port=theirs.http, grpc_port=theirs.grpc),
        port=theirs.http,
        log=bench.folder / "triton.log",
        environment=triton.environment(),
    )
    with servers.server(servers.edgeway(settings, ours.http)), servers.server(peer):
        body, headers = world.wire_request()
        servers.ask_for_hit(ours.http, body, headers)
        servers.ask(theirs.http, body, headers)
        for at in ports.values():
            servers.ask_grpc(at.grpc)
        rows = tuple(_row(wire, ports, bench.effort.rounds) for wire in _wires(bench))
    return Result(rows=rows, details={"request_bytes": len(body)})


def _row(wire: Wire, ports: dict[str, Ports], rounds: int) -> Row:
    values = in_turn({name: partial(wire.sample, at) for name, at in ports.items()}, rounds)
    what, unit, target, _ = wire
    return Row.against(PEER, values["triton"], what=what, unit=unit, target=target, ours=values["edgeway"])


def _wires(bench: Bench) -> tuple[Wire, ...]:
    binary = loads.write_script(bench.folder, "http", *world.wire_request())
    json = loads.write_script(bench.folder, "json", *world.json_request())
    frame = loads.write_message(bench.folder)
    seconds, calls = bench.effort.seconds, bench.effort.calls

    def binary_32(at: Ports) -> float:
        return loads.wrk(binary, at.http, connections=32, seconds=seconds).rps

    def json_32(at: Ports) -> float:
        return loads.wrk(json, at.http, connections=32, seconds=seconds).rps

    def grpc_4x8(at: Ports) -> float:
        return loads.grpc(frame, at.grpc, clients=4, streams=8, calls=calls).rps

    def binary_1(at: Ports) -> float:
        return loads.wrk(binary, at.http, connections=1, seconds=seconds).us

    def grpc_1(at: Ports) -> float:
        return loads.grpc(frame, at.grpc, clients=1, streams=1, calls=calls // 4).us

    at_most_as_long = Target(1.0, at_least=False)
    return (
        Wire("L1 hit, HTTP binary 3.3 KB, 32 connections", "req/s", Target(2.0), binary_32),
        Wire("L1 hit, gRPC 3.3 KB, 4 x 8 streams", "calls/s", Target(2.0), grpc_4x8),
        Wire("L1 hit, HTTP JSON of 784 floats, 32 connections", "req/s", Target(1.0), json_32),
        Wire("L1 hit, HTTP, one connection, p50", "µs", at_most_as_long, binary_1),
        Wire("L1 hit, gRPC, one connection, mean", "µs", at_most_as_long, grpc_1),
    )
