"""The gateway as its listeners see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

from gateway.core.catalog import Catalog
from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError
from gateway.core.offload import Here, Offload
from gateway.core.service import NumberedService
from gateway.core.telemetry import Refused, RequestFinished, Telemetry
from gateway.wire.trust import Trust

NAME: Final = "edgeway"
VERSION: Final = version("edgeway")
_FULL: Final = Refused("admission", "concurrency")


@dataclass(frozen=True, slots=True)
class DataPlane:
    """The gateway behind its listeners.

    ``generation`` returns the stacks now in force: a listener takes it once per request and keeps it.
    ``is_ready`` turns false when the gateway drains or is not yet complete. ``is_full``: the next request
    would be refused, so its body need not be read; ``retry_after_s``: when it may come again. ``offload``:
    does what would hold the event loop.
    """

    region: str
    generation: Callable[[], NumberedService]
    catalog: Catalog
    is_ready: Callable[[], bool]
    trust: Trust
    clock: Clock
    telemetry: Telemetry
    max_body_bytes: int = 64 << 20
    is_full: Callable[[], bool] = lambda: False
    retry_after_s: float = 1.0
    offload: Offload = field(default_factory=Here)

    def refuse_when_full(self, model: str, version: str) -> GatewayError | None:
        """Return the refusal of a request whose body is not worth reading; None when there is room.

        It is counted as the stack would have: the request never gets there.
        """
        if not self.is_full():
            return None
        self.telemetry.emit(_FULL)
        self.telemetry.emit(RequestFinished(model, "none", Fault.OVERLOADED.value, 0.0, version))
        return GatewayError(
            Fault.OVERLOADED,
            "too many requests are under way; try again later",
            retry_after_s=self.retry_after_s,
        )
