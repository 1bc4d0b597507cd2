"""Measure: the filter that reports how every request ended and how long each layer took."""

from __future__ import annotations

from asyncio import CancelledError

from gateway.core.clock import Clock
from gateway.core.errors import GatewayError
from gateway.core.request import Request, Response
from gateway.core.service import Filter, Service
from gateway.core.telemetry import LayerTimed, RequestFinished, Telemetry


class Measure:
    """Reports one RequestFinished per request, whether it was answered, refused or abandoned."""

    def __init__(self, clock: Clock, telemetry: Telemetry) -> None:
        self._tick = clock.tick
        self._emit = telemetry.emit

    async def __call__(self, request: Request, service: Service) -> Response:
        """Pass the request on and report its end."""
        began = self._tick()
        provenance, code, version = "none", "internal", request.version
        try:
            response = await service(request)
            provenance, code, version = response.provenance.label, "ok", response.version
            return response
        except GatewayError as error:
            code = error.fault.value
            raise
        except CancelledError:
            # The caller left. That is neither our failure nor a timeout.
            code = "cancelled"
            raise
        finally:
            self._emit(RequestFinished(request.model, provenance, code, self._tick() - began, version))


class Timed:
    """Reports how long one layer took, the layers below it included."""

    def __init__(self, layer: str, clock: Clock, telemetry: Telemetry) -> None:
        self._layer = layer
        self._tick = clock.tick
        self._emit = telemetry.emit

    async def __call__(self, request: Request, service: Service) -> Response:
        """Pass the request on and report the time."""
        began = self._tick()
        try:
            return await service(request)
        finally:
            self._emit(LayerTimed(self._layer, self._tick() - began))


_: tuple[type[Filter], type[Filter]] = (Measure, Timed)
