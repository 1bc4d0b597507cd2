"""`edgeway demo`: the whole job on one machine, with faults in the middle and promises at the end."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from rich.console import Console

from edge_models.certificate import save_certificate
from edge_models.samples import digits
from edge_models.session import Session
from gateway.commands.certify import certify_models
from gateway.commands.demo import screen
from gateway.commands.demo.player import MODEL, ListedGateway, PlayerSpec, Row
from gateway.commands.demo.stage import CENTRALS, HOST, REGIONS, Process, Stage, StageError
from gateway.commands.demo.tally import Outage, Tally, Truth, tally

CONCURRENCY: Final = 8
ADDRESSES: Final = {
    "eu-west": ["81.2.69.142", "89.160.20.112"],
    "us-east": ["216.160.83.56"],
    "ap-south": ["2001:218::1"],
}
"""Clients of three continents, as MaxMind's test database knows them: London, Linköping, Milton, Japan."""

FAILOVER: Final = {
    "eu-west": ["eu-west", "us-east", "ap-south"],
    "us-east": ["us-east", "eu-west", "ap-south"],
    "ap-south": ["ap-south", "us-east", "eu-west"],
}


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """What is killed when the share ``at`` of the requests was played, and for how long."""

    at: float
    phase: str
    region: str
    seconds: float


FAULTS: Final = (
    PlannedFault(0.20, "central_down", "", 5.0),
    PlannedFault(0.45, "redis_down", "us-east", 4.0),
    PlannedFault(0.70, "gateway_down", "eu-west", 4.0),
)


def run(options: argparse.Namespace) -> int:
    """Run the demo; return the exit code: 0 when every promise was kept."""
    console = Console()
    # Ending the demo ends its processes. Shells start background jobs with SIGINT ignored: it is set anew.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    out = Path(options.out).resolve()
    folder = out / "demo"
    screen.headline(console, options.requests)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        truth, digests = _prepare(console, folder)
        with console.status("starting three regions and the central tier"):
            stage = Stage(folder, folder / "certificates", digests, digits.FOLDER)
            stage.__enter__()
    except (StageError, OSError) as error:
        console.print(f"[red]the demo could not start:[/] {error}")
        return 1
    try:
        screen.processes(console, stage)
        rows, outages = asyncio.run(_play(console, stage, options))
        result = tally(rows, outages, truth)
        result.policy_generation = _generation(stage)
        result.per_replica = _spread(stage)
        _write(out / "demo.json", result)
        screen.result(console, result, out / "demo.json")
        if options.keep:
            screen.keep(console, stage)
            _wait_for_interrupt()
    finally:
        codes = stage.stop()
    if any(codes.values()):
        console.print(f"[red]a gateway did not stop cleanly:[/] exit codes {codes}")
        return 1
    return 1 if result.broken_promises else 0


def _prepare(console: Console, folder: Path) -> tuple[Truth, dict[str, str]]:
    """Certify the pair on this machine, and run the central model alone over the test images."""
    edge, central = map(digits.model_path, (digits.EDGE_REPOSITORY, digits.CENTRAL_REPOSITORY))
    sample = digits.as_input(digits.load_split("calibration")[0])
    with console.status("certifying the cascade on 2,000 calibration images, with this machine's kernels"):
        proof = certify_models(MODEL, edge, central, sample)
        (folder / "certificates").mkdir(exist_ok=True)
        save_certificate(folder / "certificates" / f"{MODEL}.json", proof)
    screen.certificate(console, proof)
    images, labels = digits.load_split("test")
    alone = Session(central).run({digits.INPUT: digits.as_input(images)})[0]
    digests = {"edge": proof.edge_digest, "central": proof.central_digest}
    return Truth(labels.astype(int), np.argmax(alone, axis=1)), digests


async def _play(
    console: Console, stage: Stage, options: argparse.Namespace
) -> tuple[list[Row], list[Outage]]:
    """Run the players and, as they go, the faults."""
    played = dict.fromkeys(REGIONS, 0)
    outages: list[Outage] = []
    share: Callable[[], float] = lambda: sum(played.values()) / options.requests  # noqa: E731 - read by two
    with screen.bar(console, options.requests) as advance:
        async with asyncio.TaskGroup() as group:
            for region in REGIONS:
                group.create_task(_player(stage, region, options, played))
            group.create_task(_break(console, stage, share, outages))
            shown = 0
            while (done := sum(played.values())) < options.requests // 3 * 3:
                await asyncio.sleep(0.1)
                advance(done - shown)
                shown = done
            advance(sum(played.values()) - shown)
    rows: list[Row] = []
    for region in REGIONS:
        rows += msgspec.msgpack.decode((stage.folder / f"rows-{region}.bin").read_bytes(), type=list[Row])
    return rows, outages


async def _player(stage: Stage, region: str, options: argparse.Namespace, played: dict[str, int]) -> None:
    """Start one region's clients and follow their progress."""
    targets = [
        ListedGateway(name, f"{HOST}:{stage.ports[name].http}", f"{HOST}:{stage.ports[name].grpc}")
        for name in FAILOVER[region]
    ]
    spec = PlayerSpec(
        region=region,
        targets=targets,
        addresses=ADDRESSES[region],
        requests=options.requests // len(REGIONS),
        rate=options.rate / len(REGIONS),
        concurrency=CONCURRENCY,
        seed=options.seed + REGIONS.index(region),
        out=str(stage.folder / f"rows-{region}.bin"),
    )
    file = stage.folder / f"player-{region}.json"
    file.write_bytes(msgspec.json.encode(spec))
    command = (sys.executable, "-m", "gateway.commands.demo.player", str(file))
    with (stage.folder / f"player-{region}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=log)
        try:
            assert process.stdout is not None
            async for line in process.stdout:
                played[region] = int(line)
            if await process.wait():
                raise StageError(f"the clients of {region} failed; their log: {log.name}")
        finally:
            if process.returncode is None:
                process.kill()


async def _break(console: Console, stage: Stage, share: Callable[[], float], outages: list[Outage]) -> None:
    """Kill and restart one process after the other, each at its share of the requests."""
    for fault in FAULTS:
        while share() < fault.at:  # noqa: ASYNC110 - the players are processes, no event of ours
            await asyncio.sleep(0.02)
        if fault.phase == "redis_down" and not stage.redis:
            continue
        async with _outage(console, stage, fault, outages):
            await asyncio.sleep(fault.seconds)


@asynccontextmanager
async def _outage(
    console: Console, stage: Stage, fault: PlannedFault, outages: list[Outage]
) -> AsyncIterator[None]:
    processes = _killed(stage, fault)
    names = " and ".join(process.name for process in processes)
    began = time.monotonic()
    for process in processes:
        process.kill()
    console.print(f"[yellow]killed {names}[/] for {fault.seconds:g} s")
    try:
        yield
    finally:
        restarted = time.monotonic()
        for process in processes:
            process.start()
        for process in processes:
            if process.name in stage.gateways:
                await asyncio.to_thread(stage.wait_ready, process.name)
        outages.append(Outage(fault.phase, fault.region, began, time.monotonic(), restarted))
        console.print(f"[green]{names} {'is' if len(processes) == 1 else 'are'} back[/]")


def _killed(stage: Stage, fault: PlannedFault) -> list[Process]:
    """Return the processes that a fault kills."""
    if fault.phase == "central_down":
        return [stage.gateways[name] for name in CENTRALS]
    return [(stage.redis if fault.phase == "redis_down" else stage.gateways)[fault.region]]


def _spread(stage: Stage) -> dict[str, int]:
    """Return how many requests of all regions each replica of the central tier got."""
    names = {f"{HOST}:{stage.ports[name].grpc}": name for name in CENTRALS}
    found = dict.fromkeys(CENTRALS, 0)
    for region in REGIONS:
        url = f"http://{HOST}:{stage.ports[region].admin}/endpoints"
        with urllib.request.urlopen(url, timeout=5) as answer:
            for endpoint in msgspec.json.decode(answer.read()):
                for member in endpoint["members"]:
                    found[names[member["member"]]] += member["requests"]
    return found


def _generation(stage: Stage) -> int:
    url = f"http://{HOST}:{stage.ports[REGIONS[0]].admin}/policy"
    with urllib.request.urlopen(url, timeout=5) as answer:
        return int(msgspec.json.decode(answer.read())["generation"])


def _write(file: Path, result: Tally) -> None:
    file.write_bytes(msgspec.json.format(msgspec.json.encode(asdict(result)), indent=2) + b"\n")


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _wait_for_interrupt() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return
