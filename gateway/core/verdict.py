"""What a health check found: the seam between whoever asks and whoever judges."""

from __future__ import annotations

import msgspec

from gateway.core.errors import Why


class Verdict(msgspec.Struct, frozen=True):
    """``why`` None: the endpoint is well. ``ours``: it could not even be asked: we lacked something."""

    why: Why | None = None
    ours: bool = False
