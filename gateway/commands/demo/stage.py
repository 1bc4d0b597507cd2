"""The demo's world: real processes, their files under one folder, and the means to kill and restart them."""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

REGIONS: Final = ("eu-west", "us-east", "ap-south")
CENTRAL: Final = "central"
SECOND: Final = "central-2"
"""The other replica of the central tier."""

CENTRALS: Final = (CENTRAL, SECOND)
READY_WITHIN_S: Final = 60.0
_PORT_BASES: Final = {"eu-west": 8100, "us-east": 8200, "ap-south": 8300, CENTRAL: 8900, SECOND: 8910}
HOST: Final = "127.0.0.1"
_KEY_SECRET: Final = secrets.token_hex(32)
"""Of the caches: a region's gateway finds its answers in Redis again after a restart."""


class StageError(Exception):
    """A process of the demo did not do what it must; the message says which log to read."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where one gateway listens, and its Redis."""

    http: int
    grpc: int
    admin: int
    redis: int


@dataclass(slots=True)
class Process:
    """A command that can be started, killed and started again, with its log."""

    name: str
    command: list[str]
    log: Path
    running: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        """Start, appending to the log."""
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(self.command, stdout=log, stderr=log)  # noqa: S603 - our own

    def kill(self) -> None:
        """Kill without warning, as a crash would."""
        if self.running is not None:
            self.running.kill()
            self.running.wait()
            self.running = None

    def ask_to_stop(self) -> None:
        """Send SIGTERM, if it runs."""
        if self.running is not None:
            self.running.send_signal(signal.SIGTERM)

    def stop(self, within_s: float = 20.0) -> int:
        """Wait until it has stopped, or kill it after ``within_s``; return the exit code."""
        if self.running is None:
            return 0
        try:
            code = self.running.wait(within_s)
        except subprocess.TimeoutExpired:
            self.running.kill()
            code = self.running.wait()
        self.running = None
        return code


class Stage:
    """Three regions and a central tier of two; ``with Stage(folder) as stage`` starts and stops them all."""

    def __init__(self, folder: Path, certificates: Path, digests: dict[str, str], samples: Path) -> None:
        self.folder = folder
        self.ports = dict(_choose_ports())
        self._redis_program = shutil.which("redis-server")
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.log"):
            old.unlink()
        self._write("policy.yaml", policy_yaml(self.ports, digests["central"]))
        geo = Path(__file__).with_name("GeoIP2-City-Test.mmdb")
        for region in REGIONS:
            text = edge_yaml(region, self.ports[region], samples, certificates, geo, redis=self.has_redis)
            self._write(f"{region}.yaml", text)
        for name in CENTRALS:
            self._write(f"{name}.yaml", central_yaml(self.ports[name], samples))
        self.gateways = {name: self._gateway(name) for name in (*REGIONS, *CENTRALS)}
        self.redis = {region: self._redis(region) for region in REGIONS} if self.has_redis else {}

    @property
    def has_redis(self) -> bool:
        """Whether the machine has a redis-server."""
        return self._redis_program is not None

    def __enter__(self) -> Self:
        try:
            for process in (*self.redis.values(), *self.gateways.values()):
                process.start()
            for name in self.gateways:
                self.wait_ready(name)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> dict[str, int]:
        """Stop everything; return the gateways' exit codes."""
        for gateway in self.gateways.values():
            gateway.ask_to_stop()
        codes = {name: gateway.stop() for name, gateway in self.gateways.items()}
        for redis in self.redis.values():
            redis.ask_to_stop()
            redis.stop()
        return codes

    def wait_ready(self, name: str) -> None:
        """Wait until the gateway says that it is ready.

        Raises:
            StageError: when it ends or takes too long.
        """
        deadline = time.monotonic() + READY_WITHIN_S
        process = self.gateways[name]
        while time.monotonic() < deadline:
            if process.running is None or process.running.poll() is not None:
                raise StageError(f"{name} ended at once; its log: {process.log}\n{_tail(process.log)}")
            if _answers(f"http://{HOST}:{self.ports[name].http}/v2/health/ready"):
                return
            time.sleep(0.05)
        raise StageError(f"{name} is not ready after {READY_WITHIN_S:g} s; its log: {process.log}")

    def _gateway(self, name: str) -> Process:
        command = [sys.executable, "-m", "gateway", "serve", str(self.folder / f"{name}.yaml")]
        return Process(name, command, self.folder / f"{name}.log")

    def _redis(self, region: str) -> Process:
        port = str(self.ports[region].redis)
        command = [
            *(str(self._redis_program), "--port", port, "--bind", HOST, "--save", ""),
            *("--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru", "--dir", str(self.folder)),
        ]
        return Process(f"redis {region}", command, self.folder / f"redis-{region}.log")

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)


def policy_yaml(ports: dict[str, Ports], central_digest: str) -> str:
    """Return the policy of the demo, the same file for every region."""
    replicas = ", ".join(f"'{HOST}:{ports[name].grpc}'" for name in CENTRALS)
    return f"""\
# The policy: the same file in every region. `edgeway policy validate FILE` checks it;
# a running gateway takes a changed file within a second, or at once on SIGHUP.
generation: 1
regions:
  eu-west: {{serves: [EU, AF], location: {{latitude: 53.3, longitude: -6.3}}}}
  us-east: {{serves: [NA, SA], location: {{latitude: 38.9, longitude: -77.4}}}}
  ap-south: {{serves: [AS, OC], location: {{latitude: 19.1, longitude: 72.9}}}}
endpoints:
  central:
    tier: central
    region: us-east
    protocol: grpc
    addresses: [{replicas}]
    max_concurrency: 64
    attempt_timeout_ms: 2000
residency:
  anywhere: {{regions: ["*"]}}
tenants:
  anonymous: {{residency: anywhere}}
locality: nearest
failover:
  eu-west: [us-east, ap-south]
  us-east: [eu-west, ap-south]
  ap-south: [us-east, eu-west]
routes:
- name: digits
  match: {{model: digits}}
  digest: {central_digest}
  timeout_ms: 15000
  num_retries: 1
  cache: {{ttl_s: 3600}}
  cascade: {{on_central_down: serve_edge}}
  endpoints: [central]
"""


def edge_yaml(region: str, ports: Ports, samples: Path, certificates: Path, geo: Path, *, redis: bool) -> str:
    """Return the settings of one edge gateway."""
    level2 = (
        f"\n  redis: {{url: 'redis://{HOST}:{ports.redis}/0'}}\n  key_secret: {_KEY_SECRET}" if redis else ""
    )
    return f"""\
# The settings of one process: who am I, what do I listen on, where are Redis and the models.
role: edge
region: {region}
listen: {{http: '{HOST}:{ports.http}', grpc: '{HOST}:{ports.grpc}', admin: '{HOST}:{ports.admin}'}}
policy: policy.yaml
trusted_proxies: [127.0.0.0/8]
geo: {{database: '{geo}'}}
models:
  repository: '{samples / "edge"}'
  certificates: '{certificates}'
  batching: {{digits: {{inline_max_rows: 8}}}}
cache:
  memory: {{max_bytes: 67108864}}{level2}
resilience:
  drain: {{drain_time_s: 0.2}}
"""


def central_yaml(ports: Ports, samples: Path) -> str:
    """Return the settings of the central tier."""
    return f"""\
role: central
region: us-east
listen: {{http: '{HOST}:{ports.http}', grpc: '{HOST}:{ports.grpc}', admin: '{HOST}:{ports.admin}'}}
trusted_proxies: [127.0.0.0/8]
models:
  repository: '{samples / "central"}'
  providers: [cuda, cpu]
  batching:
    digits: {{max_batch_size: 64, preferred_batch_size: [8, 16, 32], max_queue_delay_microseconds: 500}}
resilience:
  drain: {{drain_time_s: 0.2}}
"""


def _choose_ports() -> Iterator[tuple[str, Ports]]:
    """Take the ports that the documentation names, or any free ones where those are taken."""
    for name, base in _PORT_BASES.items():
        yield name, Ports(*(_free(base + offset) for offset in range(4)))


def _free(preferred: int) -> int:
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StageError("no free port on the loopback interface")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - a fixed http URL of our own
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _tail(log: Path, lines: int = 12) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
