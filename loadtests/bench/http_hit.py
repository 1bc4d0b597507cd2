"""Cases `http_hit` and `large`: an L1 hit over HTTP, against a bare aiohttp handler that reads the body."""

from __future__ import annotations

import sys
from functools import partial
from typing import Final

from loadtests.bench import loads, needs, servers, world
from loadtests.bench.results import Result, Row, Target, spreads
from loadtests.bench.rounds import Bench, in_turn

CONNECTIONS: Final = 32
LARGE_ROWS: Final = 48
"""Pictures of 784 floats: 150 KB."""


def measure(bench: Bench) -> Result:
    """Compare with a request of one picture."""
    return _compare(bench, 1, Target(0.6))


def measure_large(bench: Bench) -> Result:
    """Compare with a request of 150 KB."""
    return _compare(bench, LARGE_ROWS, Target(0.8))


def _compare(bench: Bench, rows: int, target: Target) -> Result:
    """Load both servers in turn, each pinned to the same core, wrk on the other."""
    needs.programs("wrk")
    ours, bare = servers.free_port(), servers.free_port()
    edgeway = servers.edgeway(world.write_settings(bench.folder, http_port=ours), ours)
    words = [sys.executable, "-m", "loadtests.bench.bare_aiohttp", str(bare)]
    aiohttp = servers.Command(words=words, port=bare, log=bench.folder / "aiohttp.log")
    body, headers = world.wire_request(rows)
    script = loads.write_script(bench.folder, "post", body, headers)

    def load(port: int) -> float:
        return loads.wrk(script, port, connections=CONNECTIONS, seconds=bench.effort.seconds).rps

    with servers.server(edgeway), servers.server(aiohttp):
        servers.ask_for_hit(ours, body, headers)
        sides = {"edgeway": partial(load, ours), "aiohttp": partial(load, bare)}
        values = in_turn(sides, bench.effort.rounds)
    row = Row.against(
        "bare aiohttp",
        values["aiohttp"],
        what=f"L1 hit, HTTP binary {len(body) / 1000:.3g} KB, {CONNECTIONS} connections",
        unit="req/s",
        target=target,
        ours=values["edgeway"],
    )
    return Result(rows=(row,), details={"request_bytes": len(body), **spreads(values)})
