"""Measure: the filter that reports how every request ended and how long each layer took."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Sequence
from typing import Final

from gateway.core.clock import Clock
from gateway.core.errors import GatewayError
from gateway.core.request import Request, Response
from gateway.core.service import FastPath, Filter, FindPath, PassesFastPath, Pending, Service
from gateway.core.telemetry import LayerTimed, RequestFinished, Telemetry
from gateway.core.tensor import Buffer

_MATRIX: Final = 2


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
        self._answered(request, answered, began)
        return answered

    def fast_path(self, like: Request, rest: FindPath) -> FastPath | None:
        """Return a path that reports every request that it answers."""
        path = rest(like)
        if path is None:
            return None
        tick, emit, model, tenant = self._tick, self._emit, like.model, like.caller.tenant

        def answer(data: Sequence[Buffer]) -> Response | None:
            began = tick()
            response = path(data)
            if response is not None:
                label = response.provenance.label
                emit(RequestFinished(model, label, "ok", tick() - began, response.version, tenant))
            return response

        return answer

    async def _wait(self, request: Request, pending: Pending, began: float) -> Response:
        try:
            response = await pending
        except BaseException as error:
            self._failed(request, error, began)
            raise
        self._answered(request, response, began)
        return response

    def _answered(self, request: Request, response: Response, began: float) -> None:
        seconds, provenance = self._tick() - began, response.provenance
        self._emit(
            RequestFinished(
                request.model,
                provenance.label,
                "ok",
                seconds,
                response.version,
                request.caller.tenant,
                1 if provenance.level else _rows(request, response),
            )
        )

    def _failed(self, request: Request, error: BaseException, began: float) -> None:
        code = "internal"
        if isinstance(error, GatewayError):
            code = error.fault.value
        elif isinstance(error, CancelledError):
            # The caller left. That is neither our failure nor a timeout.
            code = "cancelled"
        seconds, tenant = self._tick() - began, request.caller.tenant
        self._emit(RequestFinished(request.model, "none", code, seconds, request.version, tenant))


def _rows(request: Request, response: Response) -> int:
    """Return the first dimension of all tensors, where they share one and have more: that of the batch.

    What an endpoint's model takes may not be known here, and most models without a batch begin with a 1.
    """
    rows = 0
    for tensors in (request.inputs, response.outputs):
        for tensor in tensors:
            shape = tensor.shape
            if len(shape) < _MATRIX or shape[0] != (rows := rows or shape[0]):
                return 1
    return rows or 1


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
