"""The gateway's HTTP client under an online store of features."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from urllib.parse import urlsplit

from cache.features.settings import StoreSettings
from cache.features.stores.http import Send, StoreAnswer, most_body_bytes
from cache.features.vectors import StoreError
from gateway.core.errors import GatewayError
from gateway.http.client.tls import FixedTls, trusting_context
from gateway.upstreams.destination import destination_of
from gateway.upstreams.failures import Failures
from gateway.upstreams.http1_wire import Http1Wire
from gateway.upstreams.outgoing import PLAIN
from gateway.upstreams.settings import HttpUpstreamSettings


def http_send(name: str, settings: StoreSettings) -> Send:
    """Return what sends requests to the store ``name``; it connects at its first request."""
    target = urlsplit(settings.http or "")
    is_secure = target.scheme == "https"
    client = HttpUpstreamSettings(
        connections=settings.max_connections, connect_timeout_s=settings.connect_timeout_ms / 1000
    )
    destination = destination_of(
        target.hostname or "",
        target.port or (443 if is_secure else 80),
        client,
        authority=target.netloc,
        outgoing=PLAIN,
        tls=FixedTls(trusting_context()) if is_secure else None,
    )
    wire = Http1Wire(
        destination,
        client,
        Failures(name),
        max_body_bytes=most_body_bytes(settings),
        chance=Random(),  # noqa: S311 - jitter, not secrets
    )

    async def call(verb: str, path: str, headers: Mapping[str, str], body: bytes) -> StoreAnswer:
        try:
            answer = await wire.send(verb, path, headers, (), (body,) if body else ())
        except GatewayError as error:
            raise StoreError(error.why.reason if error.why is not None else "error") from error
        return StoreAnswer(*answer)

    return Send(call, wire.aclose)
