"""What every listener is handed: the gateway as seen from a wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from gateway.core.catalog import Catalog
from gateway.core.clock import Clock
from gateway.core.service import Generation
from gateway.core.telemetry import Telemetry
from gateway.wire.arrival import Trust

NAME: Final = "edgeway"
VERSION: Final = version("edgeway")


@dataclass(frozen=True, slots=True)
class Front:
    """The gateway behind its listeners.

    ``generation`` returns the stacks now in force: a listener takes it once per request and keeps it.
    ``is_ready`` turns false when the gateway drains or is not yet complete. ``is_full``: the next request
    would be refused, so its body need not be read.
    """

    region: str
    generation: Callable[[], Generation]
    catalog: Catalog
    is_ready: Callable[[], bool]
    trust: Trust
    clock: Clock
    telemetry: Telemetry
    max_body_bytes: int = 64 << 20
    is_full: Callable[[], bool] = lambda: False
