"""Measure: the filter that reports how every request ended and how long each layer took."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Sequence

from gateway.core.clock import Clock
from gateway.core.errors import GatewayError
from gateway.core.request import Request, Response
from gateway.core.service import FastPath, Filter, FindPath, PassesFastPath, Pending, Service
from gateway.core.telemetry import LayerTimed, RequestFinished, Telemetry
from gateway.core.tensor import Buffer


class Measure:
    """Reports one RequestFinished per request, whether it was answered, refused or abandoned."""

    def __init__(self, clock: Clock, telemetry: Telemetry) -> None:
        self._tick = clock.tick
        self._emit = telemetry.emit

    def __repr__(self) -> str:
        return "<Measure>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Pass the request on and report its end."""
        began = self._tick()
        try:
            answered = service(request)
        except BaseException as error:
            self._failed(request, error, began)
            raise
        if not isinstance(answered, Response):
            return self._wait(request, answered, began)
        self._emit(
            RequestFinished(
                request.model, answered.provenance.label, "ok", self._tick() - began, answered.version
            )
        )
        return answered

    def fast_path(self, like: Request, rest: FindPath) -> FastPath | None:
        """Return a path that reports every request that it answers."""
        path = rest(like)
        if path is None:
            return None
        tick, emit, model = self._tick, self._emit, like.model

        def answer(data: Sequence[Buffer]) -> Response | None:
            began = tick()
            response = path(data)
            if response is not None:
                label = response.provenance.label
                emit(RequestFinished(model, label, "ok", tick() - began, response.version))
            return response

        return answer

    async def _wait(self, request: Request, pending: Pending, began: float) -> Response:
        try:
            response = await pending
        except BaseException as error:
            self._failed(request, error, began)
            raise
        seconds = self._tick() - began
        self._emit(RequestFinished(request.model, response.provenance.label, "ok", seconds, response.version))
        return response

    def _failed(self, request: Request, error: BaseException, began: float) -> None:
        code = "internal"
        if isinstance(error, GatewayError):
            code = error.fault.value
        elif isinstance(error, CancelledError):
            # The caller left. That is neither our failure nor a timeout.
            code = "cancelled"
        self._emit(RequestFinished(request.model, "none", code, self._tick() - began, request.version))


class Timed:
    """Reports how long one layer took, the layers below it included."""

    def __init__(self, layer: str, clock: Clock, telemetry: Telemetry) -> None:
        self._layer = layer
        self._tick = clock.tick
        self._emit = telemetry.emit

    def __repr__(self) -> str:
        return f"<Timed {self._layer}>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Pass the request on and report the time."""
        began = self._tick()
        try:
            answered = service(request)
        except BaseException:
            self._emit(LayerTimed(self._layer, self._tick() - began))
            raise
        if not isinstance(answered, Response):
            return self._wait(answered, began)
        self._emit(LayerTimed(self._layer, self._tick() - began))
        return answered

    async def _wait(self, pending: Pending, began: float) -> Response:
        try:
            return await pending
        finally:
            self._emit(LayerTimed(self._layer, self._tick() - began))


_: tuple[type[Filter], type[Filter], type[PassesFastPath]] = (Measure, Timed, Measure)
