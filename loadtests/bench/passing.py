"""Case `passing`: requests that are forwarded over HTTP/1.1, against Envoy with one worker thread.

Both proxies stand on one core. The upstream answers from memory; it has a core of its own where there is
one; otherwise it shares the load generator's, and both proxies wait for it alike.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Final

from loadtests.bench import loads, needs, procfs, servers, world
from loadtests.bench.results import Result, Row, Target, spreads
from loadtests.bench.rounds import Bench, cores, in_turn, spare_core
from loadtests.peers.envoy import Envoy

CONNECTIONS: Final = 32
PEER: Final = "Envoy"


def measure(bench: Bench) -> Result:
    """Install Envoy, start the upstream and both proxies, load them in turn."""
    needs.programs("wrk")
    envoy = needs.peer(PEER, lambda: Envoy.install(bench.peers / "envoy"))
    straight, ours, theirs = (servers.free_port() for _ in range(3))
    spare = spare_core()
    upstream = servers.Command(
        words=[sys.executable, "-m", "loadtests.bench.fixed_upstream", str(straight)],
        port=straight,
        log=bench.folder / "upstream.log",
        on=(cores()[1] if spare is None else spare,),
    )
    settings = world.write_passing(bench.folder, http_port=ours, upstream_port=straight)
    peer = servers.Command(
        words=envoy.command(port=theirs, upstream_port=straight),
        port=theirs,
        log=bench.folder / "envoy.log",
        environment=envoy.environment(),
    )
    edgeway = servers.edgeway(settings, ours)
    with servers.server(upstream) as last, servers.server(edgeway) as first, servers.server(peer) as other:
        ports = {"edgeway": ours, "envoy": theirs, "upstream": straight}
        return _compare(bench, ports, {"edgeway": first, "envoy": other, "upstream": last})


def _compare(bench: Bench, ports: dict[str, int], pids: dict[str, int]) -> Result:
    body, headers = world.wire_request()
    for port in ports.values():
        servers.ask(port, body, headers)
    script = loads.write_script(bench.folder, "post", body, headers)
    # The share of one core that each process took in the last round of each side.
    shares: dict[str, dict[str, float]] = {}

    def load(name: str, connections: int) -> loads.Load:
        return loads.wrk(script, ports[name], connections=connections, seconds=bench.effort.seconds)

    def rate(name: str) -> float:
        before, began = {each: procfs.cpu_s(pid) for each, pid in pids.items()}, time.monotonic()
        seen = load(name, CONNECTIONS)
        took = time.monotonic() - began
        used = {each: round((procfs.cpu_s(pid) - before[each]) / took, 3) for each, pid in pids.items()}
        shares[name] = {**used, "wrk": round(seen.share, 3)}
        return seen.rps

    def median(name: str) -> float:
        return load(name, 1).us

    rps = in_turn({name: partial(rate, name) for name in ports}, bench.effort.rounds)
    p50 = in_turn({name: partial(median, name) for name in ports}, bench.effort.rounds)
    rows = (
        Row.against(
            PEER,
            rps["envoy"],
            what=f"passing on, HTTP 3.3 KB, {CONNECTIONS} connections",
            unit="req/s",
            target=Target(1.0),
            ours=rps["edgeway"],
            note=_shares(shares["edgeway"]),
        ),
        Row.against(
            PEER,
            p50["envoy"],
            what="passing on, HTTP 3.3 KB, one connection, p50",
            unit="µs",
            target=Target(1.25, at_least=False),
            ours=p50["edgeway"],
        ),
    )
    # The upstream without a proxy: it must do more than both, or it is what was measured.
    return Result(rows=rows, details={"rps": spreads(rps), "p50_us": spreads(p50), "cores": shares})


def _shares(shares: dict[str, float]) -> str:
    load, upstream = shares["wrk"], shares["upstream"]
    where = "shared one core" if spare_core() is None else "had a core each"
    return f"wrk and the upstream {where}; under Edgeway they took {load:.0%} and {upstream:.0%} of one"
