"""Endpoints that are spoken to in TLS, and upstreams to them as a policy has them.

Example::

    async with tls_listener(ca.issue("localhost")) as listener:
        async with upstream_of("grpc", listener.port, EndpointTls(ca=str(ca.root))) as upstream:
            await upstream(request())
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from gateway.app.connector import Connector, MemberPlace
from gateway.core.clock import LoopClock
from gateway.http.server.listener import HttpListener
from gateway.http.server.tls import Tls, TlsSettings
from gateway.upstreams.load import LoadReport
from gateway.upstreams.upstream import Upstream
from routing.endpoint import Endpoint, EndpointTls
from tests.fakes.certificates import Issued
from tests.fakes.data_plane import EchoService, fake_data_plane
from tests.fakes.listener import listener_of

PROTOCOLS = ("http", "h2", "grpc")


class KeptLoad:
    """What an endpoint said of its load."""

    def __init__(self) -> None:
        self.reports: list[LoadReport] = []
        self.refusals: list[float | None] = []

    def reported(self, report: LoadReport) -> None:
        self.reports.append(report)

    def refused(self, retry_after_s: float | None) -> None:
        self.refusals.append(retry_after_s)


@asynccontextmanager
async def tls_listener(
    issued: Issued, client_ca: Path | None = None, service: Any = None, port: int = 0
) -> AsyncIterator[HttpListener]:
    """Our own listener, of both protocols, in TLS; ``client_ca``: clients must show a certificate of it."""
    settings = TlsSettings(
        certificate=str(issued.certificate),
        key=str(issued.key),
        client_ca=None if client_ca is None else str(client_ca),
    )
    listener = listener_of(fake_data_plane(service or EchoService()), tls=Tls(settings))
    await listener.start("127.0.0.1", port)
    try:
        yield listener
    finally:
        await listener.aclose()


def endpoint_of(protocol: str, port: int, tls: EndpointTls | None = None, **fields: Any) -> Endpoint:
    """An endpoint of a policy, at ``localhost``."""
    fields = {"address": f"localhost:{port}", **fields}
    return Endpoint(tier="central", region="there", protocol=protocol, tls=tls, **fields)  # type: ignore[arg-type]


@asynccontextmanager
async def upstream_of(
    protocol: str,
    port: int,
    tls: EndpointTls | None = None,
    *,
    member: MemberPlace | None = None,
    on_load: KeptLoad | None = None,
    **fields: Any,
) -> AsyncIterator[Upstream]:
    """The upstream that a gateway makes of such an endpoint, which is called ``far``."""
    connector = Connector(LoopClock(), Random(1))
    endpoint = endpoint_of(protocol, port, tls, **fields)
    connector.files.check({"far": endpoint})
    upstream = connector.connect("far", endpoint, member or MemberPlace(endpoint.members[0].address), on_load)
    try:
        yield upstream
    finally:
        await upstream.aclose()
