"""The connection to an endpoint, by the protocol that its definition names."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.core.clock import Chance, Clock
from gateway.core.offload import Here, Offload
from gateway.upstreams.oip_grpc import GrpcUpstream
from gateway.upstreams.oip_http import HttpUpstream
from gateway.upstreams.settings import UpstreamSettings
from gateway.upstreams.upstream import Upstream
from routing.policy import Endpoint


@dataclass(frozen=True, slots=True)
class Connector:
    """Makes upstreams. ``max_body_bytes``: of one answer. ``offload``: does what would hold the loop."""

    clock: Clock
    chance: Chance
    settings: UpstreamSettings = field(default_factory=UpstreamSettings)
    max_body_bytes: int = 64 << 20
    offload: Offload = field(default_factory=Here)

    def connect(self, name: str, definition: Endpoint) -> Upstream:
        """Return the upstream of an endpoint; it connects at its first request."""
        match definition.protocol:
            case "grpc":
                return GrpcUpstream(
                    name,
                    definition.address,
                    self.clock,
                    region=definition.region,
                    max_message_bytes=self.max_body_bytes,
                    settings=self.settings.grpc,
                    chance=self.chance,
                    offload=self.offload,
                )
            case "http":
                return HttpUpstream(
                    name,
                    f"http://{definition.address}",
                    self.clock,
                    region=definition.region,
                    max_body_bytes=self.max_body_bytes,
                    settings=self.settings.http,
                    chance=self.chance,
                    offload=self.offload,
                )
