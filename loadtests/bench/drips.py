"""Case `drips`: the slowest hundredth of good answers, with and without peers that drip."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from loadtests.bench import dripping, idle, loads, needs, servers, world
from loadtests.bench.results import Result, Row, Target, spreads
from loadtests.bench.rounds import Bench, cores, in_turn

DRIPS: Final = 1_000
CONNECTIONS: Final = 4
LONGER: Final = 5
"""Times as long as other cases: each drip is cut, after 10 s, and replaced while it is measured."""

TARGET: Final = Target(1.1, at_least=False)
_LEAVE_S: Final = 10.0


def measure(bench: Bench) -> Result:
    """Load one server in turn without and with drips; the drips run on the load generator's core."""
    needs.programs("wrk")
    if not idle.allow_files(DRIPS):
        raise needs.MissingError(f"{DRIPS} open files are not allowed (ulimit -Hn)")
    port = servers.free_port()
    body, headers = world.wire_request()
    script = loads.write_script(bench.folder, "post", body, headers)
    seconds, cuts = bench.effort.seconds * LONGER, [0]

    def alone() -> float:
        return loads.wrk(script, port, connections=CONNECTIONS, seconds=seconds).p99_us

    def among_drips() -> float:
        with _dripping(port, cuts):
            return alone()

    with servers.server(servers.edgeway(world.write_settings(bench.folder, http_port=port), port)):
        servers.ask_for_hit(port, body, headers)
        values = in_turn({"with drips": among_drips, "without": alone}, bench.effort.rounds)
    row = Row.against(
        "without",
        values["without"],
        what=f"p99 of L1 hits, {CONNECTIONS} connections, beside {DRIPS:,} that drip",
        unit="µs",
        target=TARGET,
        ours=values["with drips"],
        note="the drips run on the load generator's core, behind it; what they take is in the figure",
    )
    return Result(rows=(row,), details={"cut": cuts[0], "seconds": seconds, **spreads(values)})


@contextmanager
def _dripping(port: int, cuts: list[int]) -> Iterator[None]:
    """Let peers drip while the block runs; add the number of those that were cut to ``cuts``."""
    words = [sys.executable, "-m", "loadtests.bench.dripping", str(port), str(DRIPS)]
    process = subprocess.Popen(
        ["nice", "-n", "19", "taskset", "-c", str(cores()[1]), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if process.stdout.readline().strip() != dripping.READY:
            raise RuntimeError("the drips did not begin")
        yield
        output, _ = process.communicate(timeout=_LEAVE_S)
        if process.returncode:
            raise RuntimeError("the drips broke off")
        cuts[0] += int(output)
    finally:
        process.kill()
        process.wait()
