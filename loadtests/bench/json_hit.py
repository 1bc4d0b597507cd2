"""Case `json`: an L1 hit in JSON against MLServer.

MLServer is started twice: with its own response cache (its key is the whole request as JSON, and it parses
each value again), and without, where the answer is three products of small matrices. The faster of the two
in a round counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Final

from loadtests.bench import loads, needs, servers, world
from loadtests.bench.results import Result, Row, Target, spreads
from loadtests.bench.rounds import Bench, in_turn
from loadtests.peers.mlserver import MLServer

CONNECTIONS: Final = 32
CACHED: Final = {"MLSERVER_CACHE_ENABLED": "true", "MLSERVER_MODEL_CACHE_ENABLED": "true"}
TARGET: Final = Target(8.0)


def measure(bench: Bench) -> Result:
    """Install MLServer, start it twice and Edgeway once, load them in turn."""
    needs.programs("wrk")
    mlserver = needs.peer("MLServer", lambda: MLServer.install(bench.peers / "mlserver"))
    body, headers = world.json_request()
    script = loads.write_script(bench.folder, "json", body, headers)
    port = servers.free_port()

    def load(port: int) -> float:
        return loads.wrk(script, port, connections=CONNECTIONS, seconds=bench.effort.seconds).rps

    with ExitStack() as running:
        settings = world.write_settings(bench.folder, http_port=port)
        running.enter_context(servers.server(servers.edgeway(settings, port)))
        servers.ask_for_hit(port, body, headers)
        sides = {"edgeway": port}
        for name, environment in {"mlserver_cache": CACHED, "mlserver": {}}.items():
            peer = _command(mlserver, bench, name, environment)
            running.enter_context(servers.server(peer))
            # Written now, because the next one's settings go to the same file.
            servers.ask(peer.port, body, headers)
            sides[name] = peer.port
        samples = {name: partial(load, port) for name, port in sides.items()}
        values = in_turn(samples, bench.effort.rounds)
    theirs = [max(pair) for pair in zip(values["mlserver_cache"], values["mlserver"], strict=True)]
    row = Row.against(
        "MLServer, with its cache or without",
        theirs,
        what="L1 hit, HTTP JSON of 784 floats, 32 connections",
        unit="req/s",
        target=TARGET,
        ours=values["edgeway"],
    )
    return Result(rows=(row,), details={"request_bytes": len(body), **spreads(values)})


def _command(mlserver: MLServer, bench: Bench, name: str, more: Mapping[str, str]) -> servers.Command:
    port = servers.free_port()
    return servers.Command(
        words=mlserver.command(http_port=port, grpc_port=servers.free_port()),
        port=port,
        log=bench.folder / f"{name}.log",
        environment={**mlserver.environment(), **more},
    )
