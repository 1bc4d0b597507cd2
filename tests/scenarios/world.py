"""A region and a central tier in this process: real listeners, real models, real sockets between them.

Example::

    async with World(tmp_path) as world:
        response = await world.ask()                  # through the edge's stacks, as a listener would
        await world.stop_central()                    # the tier is gone; start_central() brings it back
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np

from edge_models.certificate import Certificate, save_certificate
from edge_models.samples import digits
from gateway.app.gateway import Gateway
from gateway.app.process import GatewayProcess
from gateway.commands.certify import certify_models
from gateway.config.settings import load_settings
from gateway.core.request import Caller, Request, Response
from gateway.core.tensor import Tensor
from tests.fakes.redis_server import free_port

IMAGES, LABELS = digits.load_split("test")
PIXELS = digits.as_input(IMAGES)
_CERTIFICATES: list[Certificate] = []


def certificate() -> Certificate:
    """The pair's certificate on this machine, made once."""
    if not _CERTIFICATES:
        sample = digits.as_input(digits.load_split("calibration")[0])
        edge, central = map(digits.model_path, (digits.EDGE_REPOSITORY, digits.CENTRAL_REPOSITORY))
        _CERTIFICATES.append(certify_models(digits.MODEL, edge, central, sample))
    return _CERTIFICATES[0]


def confident_and_unsure() -> tuple[int, int]:
    """Numbers of an image that the edge may answer and of one that it must defer."""
    from edge_models.session import Session

    scores = Session(digits.model_path(digits.EDGE_REPOSITORY)).run({digits.INPUT: PIXELS})[0].max(axis=1)
    threshold = certificate().threshold
    return int(np.argmax(scores >= threshold)), int(np.argmax(scores < threshold))


CONFIDENT, UNSURE = confident_and_unsure()


def picture(image: int, **changes: Any) -> Request:
    """A request for one test image."""
    inputs = (Tensor.from_numpy(digits.INPUT, PIXELS[image : image + 1]),)
    return Request(
        **{"model": digits.MODEL, "inputs": inputs, "caller": Caller(address="81.2.69.142"), **changes}
    )


POLICY = """\
generation: {generation}
regions: {{here: {{serves: [EU]}}, there: {{serves: [NA]}}}}
failover: {{here: [there], there: [here]}}
residency:
  anywhere: {{regions: ["*"]}}
  only-there: {{regions: [there]}}
  only-here: {{regions: [here]}}
tenants:
  anonymous: {{residency: anywhere}}
  exile: {{residency: only-there}}
  local: {{residency: only-here}}
endpoints:
  central: {{tier: central, region: there, protocol: {protocol}, address: '127.0.0.1:{port}', attempt_timeout_ms: 1000}}
routes:
- name: digits
  match: {{model: digits}}
  digest: {digest}
  timeout_ms: 5000
  cascade: {{on_central_down: {down}}}
  endpoints: [central]
"""

EDGE = """\
role: edge
region: here
listen: {{http: '127.0.0.1:0', grpc: '127.0.0.1:0', admin: '127.0.0.1:0'}}
policy: policy.yaml
trusted_proxies: [127.0.0.0/8]
models:
  repository: '{repository}'
  certificates: certificates
  batching: {{digits: {{inline_max_rows: 8}}}}
cache:
  memory: {{max_bytes: 16777216}}{redis}
resilience:
  breaker: {{consecutive_5xx: 3, base_ejection_time_s: 0.2}}
  drain: {{drain_time_s: 0, drain_timeout_s: 5}}
"""

CENTRAL = """\
role: central
region: there
listen: {{http: '127.0.0.1:{http}', grpc: '127.0.0.1:{grpc}', admin: null}}
trusted_proxies: [127.0.0.0/8]
models:
  repository: '{repository}'
  batching: {{digits: {{max_batch_size: 16, preferred_batch_size: [4, 8], max_queue_delay_microseconds: 1000}}}}
resilience:
  drain: {{drain_time_s: 0, drain_timeout_s: 5}}
"""


async def until(condition: Callable[[], object]) -> None:
    """Wait until ``condition`` holds."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


class World:
    """``redis`` is a URL or None; ``protocol`` is how the edge speaks to the central tier; ``otlp`` a collector.

    ``repository`` is the edge's.
    """

    def __init__(
        self,
        folder: Path,
        *,
        redis: str | None = None,
        protocol: str = "grpc",
        on_central_down: str = "serve_edge",
        proof: Certificate | None = None,
        otlp: str = "",
        repository: Path = digits.EDGE_REPOSITORY,
    ) -> None:
        self.folder = folder
        self.central_ports = {"http": free_port(), "grpc": free_port()}
        self._protocol, self._down = protocol, on_central_down
        (folder / "certificates").mkdir(exist_ok=True)
        save_certificate(folder / "certificates" / "digits.json", proof or certificate())
        self.write_policy(1)
        # Generous: a busy machine must not look like a slow Redis here.
        level2 = f"\n  redis: {{url: '{redis}', timeout_ms: 250, connect_timeout_ms: 250}}" if redis else ""
        tracing = f"telemetry: {{otlp_endpoint: '{otlp}'}}\n" if otlp else ""
        edge = EDGE.format(repository=repository, redis=level2)
        (folder / "edge.yaml").write_text(edge + tracing)
        text = CENTRAL.format(repository=digits.CENTRAL_REPOSITORY, **self.central_ports)
        (folder / "central.yaml").write_text(text + tracing)
        self._edge: Gateway | None = None
        self.central: Gateway | None = None
        self._central_lifetime = AsyncExitStack()
        self._edge_lifetime = AsyncExitStack()

    def write_policy(self, generation: int, text: str = POLICY, **changes: Any) -> None:
        """Write the policy file; ``changes`` replace what it is made of."""
        parts = {
            "generation": generation,
            "protocol": self._protocol,
            "port": self.central_ports[self._protocol],
            "digest": certificate().central_digest,
            "down": self._down,
            **changes,
        }
        (self.folder / "policy.yaml").write_text(text.format(**parts))

    @property
    def edge(self) -> Gateway:
        """The edge, once the world is entered; until then its settings file may still be changed."""
        assert self._edge is not None, "enter the world first"
        return self._edge

    def change_settings(self, old: str, new: str) -> None:
        """Change the edge's settings before the world is entered."""
        file = self.folder / "edge.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    async def in_force(self, number: int) -> None:
        """Wait until generation ``number`` is in force."""
        await until(lambda: self.edge.generation().number >= number)

    async def start_central(self) -> None:
        """Start the central tier on its ports."""
        process = GatewayProcess(load_settings(self.folder / "central.yaml", {}))
        self.central = await self._central_lifetime.enter_async_context(process.serving())

    async def stop_central(self) -> None:
        """Stop the central tier."""
        await self._central_lifetime.aclose()
        self.central = None

    async def ask(self, image: int | None = None, **changes: Any) -> Response:
        """Send one picture through the generation in force, due in 5 s unless ``changes`` say otherwise."""
        request = picture(CONFIDENT if image is None else image, **changes)
        return await self.edge.generation()(request)

    def metric(self, line: str) -> float:
        """The value of one series of the edge's metrics; 0 when there is none yet."""
        for text in self.edge.prometheus.render().decode().splitlines():
            if text.startswith(line + " "):
                return float(text.rpartition(" ")[2])
        return 0.0

    async def __aenter__(self) -> Self:
        await self.start_central()
        process = GatewayProcess(load_settings(self.folder / "edge.yaml", {}))
        self._edge = await self._edge_lifetime.enter_async_context(process.serving())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._edge_lifetime.aclose()
        await self.stop_central()
