"""Case `workers`: two workers on two cores against one worker on one.

Where there is no third core, the load generator takes its share of the two, and the requests per second
cannot double. So there are two rows: requests per second, and requests per second of the gateway's CPU
time, which shows what a second worker costs wherever the load comes from.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from loadtests.bench import loads, needs, procfs, servers, world
from loadtests.bench.results import Result, Row, Target, spreads
from loadtests.bench.rounds import Bench, cores, in_turn, spare_core

CONNECTIONS: Final = 64
"""More than elsewhere: whichever worker is awake takes a new one, so they are shared unevenly."""

TARGET: Final = Target(1.7)
AGREED: Final = 2
"""Workers, and cores for them."""


@dataclass(frozen=True, slots=True)
class Side:
    """One gateway, and its figures by round: the gateway's CPU seconds per second, wrk's, and
    requests per second of the gateway's CPU."""

    pid: int
    port: int
    gateway: list[float] = field(default_factory=list)
    wrk: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)


def measure(bench: Bench) -> Result:
    """Load one worker and two in turn."""
    needs.programs("wrk")
    if cores()[0] == cores()[1]:
        raise needs.MissingError("there is one core only")
    spare = spare_core()
    both = (cores()[0], cores()[1] if spare is None else spare)
    ports = servers.free_port(), servers.free_port()
    settings = [
        world.write_settings(bench.folder / str(workers), http_port=port, workers=workers)
        for workers, port in zip((1, AGREED), ports, strict=True)
    ]
    one, two = servers.edgeway(settings[0], ports[0]), servers.edgeway(settings[1], ports[1], both)
    with servers.server(one) as alone, servers.server(two) as parent:
        sides = {"one": Side(alone, ports[0]), "two": Side(parent, ports[1])}
        body, headers = world.wire_request()
        for port in ports:
            servers.ask(port, body, headers)
        script = loads.write_script(bench.folder, "post", body, headers)

        def load(side: Side) -> float:
            before, began = procfs.cpu_s(side.pid), time.monotonic()
            seconds = bench.effort.seconds
            seen = loads.wrk(script, side.port, connections=CONNECTIONS, seconds=seconds)
            used = (procfs.cpu_s(side.pid) - before) / (time.monotonic() - began)
            side.gateway.append(used)
            side.wrk.append(seen.share)
            side.rate.append(seen.rps / used)
            return seen.rps

        samples = {name: partial(load, side) for name, side in sides.items()}
        rps = in_turn(samples, bench.effort.rounds)
    return _judge(sides, rps, bench.effort.rounds)


def _judge(sides: dict[str, Side], rps: dict[str, list[float]], rounds: int) -> Result:
    # The first of each was to warm up.
    seen = {
        f"{what}_{name}": getattr(side, what)[-rounds:]
        for name, side in sides.items()
        for what in ("gateway", "wrk", "rate")
    }
    shares = {name: sum(seen[f"wrk_{name}"]) / rounds for name in sides}
    used = {name: sum(seen[f"gateway_{name}"]) / rounds for name in sides}
    place = "one of the gateway's two cores" if spare_core() is None else "a third core"
    rows = (
        Row.against(
            "one worker",
            rps["one"],
            what=f"two workers, L1 hit, {CONNECTIONS} connections",
            unit="req/s",
            target=TARGET,
            ours=rps["two"],
            note=f"wrk ran on {place} and took {shares['two']:.0%} of it, with one {shares['one']:.0%};"
            f" the gateways got {used['two']:.2f} and {used['one']:.2f} cores",
        ),
        Row.against(
            "one worker",
            seen["rate_one"],
            what="the same, per second of the gateway's CPU",
            unit="req",
            target=Target(TARGET.value / AGREED),
            ours=seen["rate_two"],
            note=f"two workers that had a core each would reach {TARGET.value:g} with this target",
        ),
    )
    return Result(rows=rows, details={**spreads(rps), **spreads(seen)})
