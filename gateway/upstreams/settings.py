"""Settings of the upstreams."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(gt=0, le=3600)]


class HttpUpstreamSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How an endpoint is spoken to over HTTP."""

    connections: Annotated[int, Meta(ge=0, le=65535)] = 1024
    """Connections to one endpoint at most, 1024 by default; 0 for no limit. Bulkhead is the limit to set:
    where this one is smaller, requests wait here unseen."""

    connect_timeout_s: Seconds = 2.0
    """Seconds for a TCP connection, 2 by default: SYN is repeated once, after one second."""

    keepalive_s: Seconds = 30.0
    """Seconds that an idle connection is kept, 30 by default: less than the 75 of the other side, so that
    no request is sent into a connection that is being closed."""

    metadata_timeout_s: Seconds = 5.0
    """Seconds for questions about models, 5 by default."""
