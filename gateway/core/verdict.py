"""What a health check found: made by an upstream, read by what judges its endpoint."""

from __future__ import annotations

import msgspec

from gateway.core.errors import Why


class Verdict(msgspec.Struct, frozen=True):
    """``why`` None: the endpoint is well. ``ours``: this process lacked something, so there was no check."""

    why: Why | None = None
    ours: bool = False
