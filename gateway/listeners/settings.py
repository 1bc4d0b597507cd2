"""Settings of the listeners."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(gt=0, le=3600)]


class HttpSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How patient the HTTP listener is with its clients."""

    body_timeout_s: Seconds = 30.0
    """Seconds from a request's headers to the end of its body, 30 by default; then 408."""

    keepalive_timeout_s: Seconds = 75.0
    """Seconds that a connection may wait for its next request, headers included; 75 as in nginx."""

    lingering_s: Seconds = 5.0
    """Seconds that the rest of a refused body is read and dropped, so that the client gets to read why."""

    backlog: Annotated[int, Meta(ge=1, le=65535)] = 1024
    """Connections that may wait to be accepted; 1024 by default."""
