"""Kill a central tier under a steady load, and report who felt it and for how long.

    python -m loadtests.outages [NAME …]

Prints a table: requests, those that failed, those that the edge answered without a certificate, and how long
after the tier was back the last of either was sent. Everything runs on loopback. `addresses` needs the right
to mount (root): its name is in a file of hosts that only the edge sees.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from loadtests.outages.world import NAME, Answer, World

_CALM_S = 2.0
_AFTER_S = 8.0


@dataclass(frozen=True)
class Outage:
    """``away_s``: seconds from the kill to the restart; None: it does not come back.

    ``hangs``: it is not killed, but stopped and continued: it takes connections and says nothing.
    """

    name: str
    away_s: float | None
    cascade: bool = False
    hangs: bool = False
    centrals: Callable[[list[int]], tuple[list[str], dict[str, str]]] | None = None


def _two_endpoints(ports: list[int]) -> tuple[list[str], dict[str, str]]:
    addresses = [f"127.0.0.1:{port}" for port in ports]
    return addresses, {"first": addresses[0], "second": addresses[1]}


def _two_addresses(ports: list[int]) -> tuple[list[str], dict[str, str]]:
    return [f"127.0.0.{host}:{ports[0]}" for host in (1, 2)], {"central": f"{NAME}:{ports[0]}"}


OUTAGES = {
    "restart": Outage("killed and restarted", 0.0),
    "restart-cascade": Outage("killed and restarted, with a cascade", 0.0, cascade=True),
    "away": Outage("away for 6 s", 6.0),
    "away-cascade": Outage("away for 6 s, with a cascade", 6.0, cascade=True),
    "hangs": Outage("hangs for 9 s", 9.0, hangs=True),
    "hangs-cascade": Outage("hangs for 9 s, with a cascade", 9.0, cascade=True, hangs=True),
    "endpoints": Outage("two endpoints, the one in use killed", None, centrals=_two_endpoints),
    "addresses": Outage("one name, two addresses, the one in use killed", None, centrals=_two_addresses),
}


async def play(outage: Outage, folder: Path) -> str:
    """Return the outage's line of the table."""
    ports = list(_free_ports(6))
    if outage.centrals is None:
        addresses, endpoints = [f"127.0.0.1:{ports[2]}"], {"central": f"127.0.0.1:{ports[2]}"}
    else:
        addresses, endpoints = outage.centrals(ports[2:4])
    world = World(
        folder, addresses, endpoints, cascade=outage.cascade, ports=[ports[0], ports[1], *ports[4:]]
    )
    loop = asyncio.get_running_loop()
    async with world.running():
        await asyncio.sleep(_CALM_S)
        killed = loop.time()
        back = killed
        if outage.hangs:
            world.centrals[0].send(signal.SIGSTOP)
            await asyncio.sleep(outage.away_s or 0.0)
            world.centrals[0].send(signal.SIGCONT)
            back = loop.time()
        else:
            await world.centrals[0].end(signal.SIGKILL)
        if outage.away_s is not None and not outage.hangs:
            await asyncio.sleep(outage.away_s)
            back = await world.centrals[0].start()
        await asyncio.sleep(_AFTER_S)
    return report_line(outage, world.answers, killed, back)


def report_line(outage: Outage, answers: list[Answer], killed: float, back: float) -> str:
    failed = [each for each in answers if each.status != 200]
    uncertified = [each for each in answers if each.status == 200 and not each.certified]
    last = max((each.sent - back for each in (*failed, *uncertified)), default=0.0)
    message = f" | {failed[len(failed) // 2].message}" if failed else ""
    return (
        f"{outage.name:48} {back - killed:6.2f} {len(answers):8} {len(failed):6} "
        f"{len(uncertified):11} {last:+8.2f}{message}"
    )


def _free_ports(count: int) -> Iterator[int]:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    for server in servers:
        yield server.getsockname()[1]
    for server in servers:
        server.close()


def main() -> None:
    """Play the outages that are named, or all."""
    print(f"{'central is …':48} {'away':>6} {'requests':>8} {'failed':>6} {'uncertified':>11} {'last, s':>8}")
    for name in sys.argv[1:] or OUTAGES:
        with tempfile.TemporaryDirectory() as folder:
            print(asyncio.run(play(OUTAGES[name], Path(folder))), flush=True)


if __name__ == "__main__":
    main()
