"""The connection to a member of an endpoint, by the protocol that the endpoint's definition names."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.app.endpoint_files import EndpointFiles
from gateway.core.clock import Chance, Clock
from gateway.core.offload import Here, Offload
from gateway.upstreams.load import LoadObserver
from gateway.upstreams.oip_grpc import GrpcUpstream
from gateway.upstreams.oip_http import HttpUpstream
from gateway.upstreams.outgoing import Outgoing
from gateway.upstreams.settings import UpstreamSettings
from gateway.upstreams.upstream import Upstream
from routing.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class MemberPlace:
    """Where one member is.

    ``address``: HOST:PORT: what requests call it unless the endpoint has a ``host``, and what its certificate
    is checked against unless it has a ``tls.server_name``. ``ip``: what is connected to; empty: the host is
    looked up, and its addresses stand in for each other.
    """

    address: str
    ip: str = ""

    @property
    def connected(self) -> str:
        """What is connected to, HOST:PORT."""
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"{host}:{self.address.rpartition(':')[2]}" if self.ip else self.address


@dataclass(frozen=True, slots=True)
class Connector:
    """Makes upstreams.

    ``max_body_bytes``: of one answer. ``offload``: does what would hold the loop. ``files``: of endpoints,
    read once for all members.
    """

    clock: Clock
    chance: Chance
    settings: UpstreamSettings = field(default_factory=UpstreamSettings)
    max_body_bytes: int = 64 << 20
    offload: Offload = field(default_factory=Here)
    files: EndpointFiles = field(default_factory=EndpointFiles)

    def connect(
        self,
        name: str,
        definition: Endpoint,
        member: MemberPlace | None = None,
        on_load: LoadObserver | None = None,
    ) -> Upstream:
        """Return the upstream of one member; it connects at its first request.

        ``member`` None: the first that the definition lists. ``on_load`` gets what it says of its load.

        Raises:
            EndpointError: a file of the endpoint cannot be used, which ``files.check`` finds before.
        """
        member = member or MemberPlace(definition.members[0].address)
        outgoing = Outgoing(
            ip=member.ip,
            host=definition.host,
            path_prefix=definition.path_prefix,
            headers=tuple(definition.headers.items()),
            credential=self.files.credential(name, definition),
            server_name=(definition.tls and definition.tls.server_name) or "",
            on_load=on_load,
        )
        make = self._grpc if definition.protocol == "grpc" else self._http
        return make(name, definition, member.address, outgoing)

    def _grpc(self, name: str, definition: Endpoint, address: str, outgoing: Outgoing) -> Upstream:
        return GrpcUpstream(
            name,
            address,
            self.clock,
            region=definition.region,
            max_message_bytes=self.max_body_bytes,
            settings=self.settings.grpc,
            chance=self.chance,
            tls=self.files.tls(name, definition),
            offload=self.offload,
            outgoing=outgoing,
        )

    def _http(self, name: str, definition: Endpoint, address: str, outgoing: Outgoing) -> Upstream:
        return HttpUpstream(
            name,
            f"http://{address}" if definition.tls is None else f"https://{address}",
            self.clock,
            region=definition.region,
            max_body_bytes=self.max_body_bytes,
            settings=self.settings.h2 if definition.protocol == "h2" else self.settings.http,
            chance=self.chance,
            tls=self.files.tls(name, definition),
            offload=self.offload,
            outgoing=outgoing,
        )
