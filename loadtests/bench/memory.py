"""Case `memory`: what an idle connection keeps resident, and what a million requests leave behind.

Resident memory is what the kernel counts for the process; the kernel's own buffers of sockets are not in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Final

from loadtests.bench import idle, loads, needs, procfs, servers, world
from loadtests.bench.results import Result, Row, Target
from loadtests.bench.rounds import Bench

Hold = Callable[[int, int, bytes, Mapping[str, str]], AbstractContextManager[None]]

CONNECTION: Final = Target(12.0, at_least=False)
GROWTH: Final = Target(1024.0, at_least=False)
WARM_SHARE: Final = 0.1
"""Of the connections, and of the requests: first these, so that what is set up once is there already."""

CLIENTS: Final = 32
_QUIET_S: Final = 0.5
_KIB: Final = 1024
_NO_LIMIT: Final = {"max_connections_per_address": 1_000_000, "max_connections": 1_000_000}


def measure(bench: Bench) -> Result:
    """Measure each in a fresh gateway."""
    needs.programs("h2load")
    count = bench.effort.connections
    if not idle.allow_files(round(count * (1 + WARM_SHARE))):
        raise needs.MissingError(f"{count} open files are not allowed (ulimit -Hn)")
    holds: dict[str, Hold] = {"HTTP/1.1": idle.http1, "HTTP/2": idle.http2}
    kept = {name: _per_connection(bench, hold, count) for name, hold in holds.items()}
    rows = [
        Row.alone(f"resident memory per idle connection, {name}", "KiB", CONNECTION, [value])
        for name, value in kept.items()
    ]
    calls = bench.effort.million
    grown, before, after = _growth(bench, calls)
    what = f"growth of resident memory over {calls:,} L1 hits"
    rows.append(Row.alone(what, "KiB", GROWTH, [grown]))
    details = {"connections": count, "resident_before": before, "resident_after": after}
    return Result(rows=tuple(rows), details=details)


def _per_connection(bench: Bench, hold: Hold, count: int) -> float:
    """Return KiB: the difference that ``count`` more connections make, a tenth of them being there before."""
    port = servers.free_port()
    settings = world.write_settings(bench.folder, http_port=port, transport=_NO_LIMIT)
    body, headers = world.wire_request()
    with servers.server(servers.edgeway(settings, port)) as pid:
        servers.ask_for_hit(port, body, headers)
        with hold(port, round(count * WARM_SHARE), body, headers):
            before = _resident(pid)
            with hold(port, count, body, headers):
                return (_resident(pid) - before) / count / _KIB


def _growth(bench: Bench, calls: int) -> tuple[float, int, int]:
    """Return KiB of growth over ``calls`` hits after a tenth as many, and bytes before and after."""
    port = servers.free_port()
    settings = world.write_settings(bench.folder, http_port=port)
    body, headers = world.wire_request()
    file = bench.folder / "http.body"
    file.write_bytes(body)
    with servers.server(servers.edgeway(settings, port)) as pid:
        servers.ask_for_hit(port, body, headers)
        loads.http1(file, port, headers, clients=CLIENTS, calls=round(calls * WARM_SHARE))
        before = _resident(pid)
        loads.http1(file, port, headers, clients=CLIENTS, calls=calls)
        after = _resident(pid)
    return (after - before) / _KIB, before, after


def _resident(pid: int) -> int:
    time.sleep(_QUIET_S)
    return procfs.resident_bytes(pid)
