"""Connections of HTTP/2 to endpoints, as the settings have them."""

from __future__ import annotations

from collections.abc import Collection

from gateway.http.client.http2_connection import Limits
from gateway.http.framing.http2_client import Http2Client
from gateway.upstreams.settings import Http2Settings


def limits_of(settings: Http2Settings) -> Limits:
    """Return the limits of one connection."""
    return Limits(
        streams=settings.streams_per_connection,
        keepalive_s=settings.keepalive_s,
        keepalive_timeout_s=settings.keepalive_timeout_s,
    )


def client_of(settings: Http2Settings, max_body_bytes: int, texts: Collection[bytes] = ()) -> Http2Client:
    """Return what speaks HTTP/2 on one connection; ``texts``: trailers that keep the blanks at their ends."""
    return Http2Client(
        stream_window_bytes=settings.stream_window_bytes,
        connection_window_bytes=settings.connection_window_bytes,
        max_header_bytes=settings.max_head_bytes,
        max_body_bytes=max_body_bytes,
        texts=texts,
    )
