"""What the examples are run against: one Edgeway, an edge before a central Edgeway, an edge before Triton."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests.bench.servers import Command, free_port, server
from loadtests.clients.triton_models import write_repository
from loadtests.peers.triton import Triton

ADDRESS: Final = "127.0.0.1"
TOKEN: Final = "of-the-operator"  # noqa: S105 - of these servers alone
_TOKEN_SHA256: Final = hashlib.sha256(TOKEN.encode()).hexdigest()
_LISTEN: Final = """\
region: here
listen:
  http: '{address}:{http}'
  grpc: '{address}:{grpc}'
  admin: null
  admin_access: {{tokens_sha256: [{token}]}}
  protocol: {{admin_calls: true, share_statistics: true, server_name: triton}}
resilience: {{drain: {{drain_time_s: 0}}}}
"""
_CENTRAL: Final = "role: central\n" + _LISTEN + "models: {{repository: '{repository}'}}\n"
_EDGE: Final = "role: edge\n" + _LISTEN + "policy: '{policy}'\n"
_POLICY: Final = """\
generation: 1
regions: {{here: {{}}}}
residency: {{anywhere: {{regions: ["*"]}}}}
tenants: {{anonymous: {{residency: anywhere}}}}
endpoints: {{central: {{tier: central, region: here, protocol: grpc, address: '{address}:{grpc}'}}}}
routes:
- {{name: all, match: {{model: "*"}}, endpoints: [central]}}
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a server listens."""

    http: int
    grpc: int


Arrangement = Callable[[Path, Path, int], AbstractContextManager[Ports]]
"""Starts servers with a folder for files, one for what is installed, and how many models there are."""


@contextmanager
def one_process(folder: Path, _: Path, count: int) -> Iterator[Ports]:
    """Run one Edgeway that has the models."""
    shutil.rmtree(folder / "models", ignore_errors=True)
    write_repository(folder / "models", "onnx", count)
    with _edgeway(folder / "central.yaml", _CENTRAL, repository=folder / "models") as ports:
        yield ports


@contextmanager
def before_edgeway(folder: Path, installed: Path, count: int) -> Iterator[Ports]:
    """Run an edge without models, and a central Edgeway behind it that has them."""
    with one_process(folder, installed, count) as central, _edge(folder, central.grpc) as ports:
        yield ports


@contextmanager
def before_triton(folder: Path, installed: Path, count: int) -> Iterator[Ports]:
    """Run an edge without models, and a Triton behind it that has them."""
    with triton_alone(folder, installed, count) as central, _edge(folder, central.grpc) as ports:
        yield ports


@contextmanager
def triton_alone(folder: Path, installed: Path, count: int) -> Iterator[Ports]:
    """Run Triton."""
    peer = Triton.install(installed / "triton")
    shutil.rmtree(folder / "models", ignore_errors=True)
    write_repository(folder / "models", "python", count)
    http, grpc = free_port(), free_port()
    words = [
        word
        for word in peer.command(http_port=http, grpc_port=grpc, cached=False)
        if not word.startswith("--model-repository=")
    ]
    words += [f"--model-repository={folder / 'models'}", "--model-control-mode=explicit", "--load-model=*"]
    log = folder / "triton.log"
    with server(Command(words=words, port=grpc, log=log, environment=peer.environment())):
        yield Ports(http, grpc)


ARRANGEMENTS: Final[dict[str, Arrangement]] = {
    "one process": one_process,
    "edge before Edgeway": before_edgeway,
    "edge before Triton": before_triton,
    "Triton alone": triton_alone,
}


def _edge(folder: Path, grpc: int) -> AbstractContextManager[Ports]:
    policy = folder / "policy.yaml"
    policy.write_text(_POLICY.format(address=ADDRESS, grpc=grpc))
    return _edgeway(folder / "edge.yaml", _EDGE, policy=policy)


@contextmanager
def _edgeway(settings: Path, text: str, **values: Path) -> Iterator[Ports]:
    ports = Ports(free_port(), free_port())
    known = {"address": ADDRESS, "http": ports.http, "grpc": ports.grpc, "token": _TOKEN_SHA256}
    settings.write_text(text.format(**known, **values))
    words = [sys.executable, "-m", "gateway", "serve", str(settings)]
    with server(Command(words=words, port=ports.grpc, log=settings.with_suffix(".log"))):
        yield ports
