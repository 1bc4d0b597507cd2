"""The three servers: installed, started with the same models, stopped."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench.servers import Command, free_port, server
from loadtests.conformance import world
from loadtests.peers.mlserver import WHEEL as MLSERVER_WHEEL
from loadtests.peers.mlserver import MLServer
from loadtests.peers.triton import WHEEL as TRITON_WHEEL
from loadtests.peers.triton import Triton


@dataclass(frozen=True, slots=True)
class Running:
    """A server to test: its addresses, the models that echo, and what was installed."""

    http: int
    grpc: int
    echoes: tuple[str, ...]
    what: str


@contextmanager
def edgeway(folder: Path, _: Path) -> Iterator[Running]:
    """Run an edge gateway in front of a central one."""
    ports = world.Ports(free_port(), free_port(), free_port())
    folder.mkdir(parents=True, exist_ok=True)
    central, edge = world.write(folder, ports)
    serve = [sys.executable, "-m", "gateway", "serve"]
    with ExitStack() as stack:
        for name, settings, port in (("central", central, ports.central), ("edge", edge, ports.http)):
            words = [*serve, str(settings)]
            stack.enter_context(server(Command(words=words, port=port, log=folder / f"{name}.log")))
        yield Running(
            ports.http, ports.grpc, ("echo", "echo_half"), "this checkout, edge in front of central"
        )


@contextmanager
def triton(folder: Path, peers: Path) -> Iterator[Running]:
    """Run Triton."""
    peer = Triton.install(peers / "triton")
    http, grpc = free_port(), free_port()
    peer.write_echo("echo", tuple(world.ECHO))
    peer.write_echo("echo_half", (*world.HALF, "BF16"))
    folder.mkdir(parents=True, exist_ok=True)
    words = peer.command(http_port=http, grpc_port=grpc)
    with server(Command(words=words, port=http, log=folder / "log", environment=peer.environment())):
        yield Running(http, grpc, ("echo", "echo_half"), f"the binary in {TRITON_WHEEL}")


@contextmanager
def mlserver(folder: Path, peers: Path) -> Iterator[Running]:
    """Run MLServer."""
    peer = MLServer.install(peers / "mlserver")
    http, grpc = free_port(), free_port()
    peer.write_echo("echo", tuple(world.ECHO))
    peer.write_echo("echo_half", tuple(world.HALF))
    folder.mkdir(parents=True, exist_ok=True)
    words = peer.command(http_port=http, grpc_port=grpc)
    with server(Command(words=words, port=http, log=folder / "log", environment=peer.environment())):
        yield Running(http, grpc, ("echo", "echo_half"), MLSERVER_WHEEL)
