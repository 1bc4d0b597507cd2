"""HTTP/2 as the settings have it."""

from __future__ import annotations

from gateway.upstreams.http2_connections import client_of, limits_of
from gateway.upstreams.settings import H2UpstreamSettings


def test_settings_are_limits():
    """Of a connection, and of what speaks on it."""
    settings = H2UpstreamSettings(streams_per_connection=7, keepalive_s=3, keepalive_timeout_s=2)
    limits = limits_of(settings)
    assert (limits.streams, limits.keepalive_s, limits.keepalive_timeout_s) == (7, 3, 2)
    assert not client_of(settings, 100).is_ready
