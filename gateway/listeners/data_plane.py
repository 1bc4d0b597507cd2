"""The gateway as its listeners see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

from gateway.core.catalog import Catalogs
from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError
from gateway.core.offload import Here, Offload
from gateway.core.request import Caller
from gateway.core.service import NumberedService
from gateway.core.telemetry import Refused, RequestFinished, Telemetry
from gateway.http.request_ids import no_id
from gateway.wire.travelling import TravellingHeaders
from gateway.wire.trust import Trust

NAME: Final = "edgeway"
VERSION: Final = version("edgeway")
_STAGE: Final = "admission"
_CONCURRENCY: Final = "concurrency"


@dataclass(frozen=True, slots=True)
class DataPlane:
    """The gateway behind its listeners.

    ``generation`` returns the stacks now in force: a listener takes it once per request and keeps it.
    ``is_ready`` turns false when the gateway drains or is not yet complete. ``is_full``: the next request
    would be refused, so its body need not be read; ``retry_after_s``: when it may come again. ``offload``:
    does what would hold the event loop. ``travelling``: which headers go on to endpoints.
    ``make_request_id``: returns the id of a request that comes without one; empty where none are made.
    ``load``: returns how loaded this process is, for clients that ask for it; None: they are not answered.
    """

    region: str
    generation: Callable[[], NumberedService]
    catalogs: Catalogs
    is_ready: Callable[[], bool]
    trust: Trust
    clock: Clock
    telemetry: Telemetry
    max_body_bytes: int = 64 << 20
    is_full: Callable[[], bool] = lambda: False
    retry_after_s: float = 1.0
    offload: Offload = field(default_factory=Here)
    travelling: TravellingHeaders = field(default_factory=TravellingHeaders)
    make_request_id: Callable[[], bytes] = no_id
    load: Callable[[], bytes] | None = None

    def over_limit(self, caller: Caller, model: str, version: str) -> GatewayError | None:  # noqa: ARG002
        """Return the refusal of a request whose body is not worth reading; None when there is room.

        ``caller`` is identified. This is the one place for what limits a request before its body is read: the
        limits of the process, and those of the caller's tenant.
        """
        if not self.is_full():
            return None
        self.count_refusal(_CONCURRENCY, Fault.OVERLOADED, model, version)
        return GatewayError(
            Fault.OVERLOADED,
            "too many requests are under way; try again later",
            retry_after_s=self.retry_after_s,
        )

    def count_refusal(self, reason: str, fault: Fault, model: str, version: str) -> None:
        """Count a refusal of Admission's as the stack would have: the request never gets there."""
        self.telemetry.emit(Refused(_STAGE, reason))
        self.telemetry.emit(RequestFinished(model, "none", fault.value, 0.0, version))
