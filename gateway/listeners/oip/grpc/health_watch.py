"""The health service's Watch."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

from gateway.core.clock import Clock
from gateway.core.tensor import Buffer
from gateway.http.exchange import ConnectionClosing, RequestBody
from gateway.listeners.oip.grpc.unary import NOT_SERVING, SERVICE_UNKNOWN, UnaryCalls
from gateway.listeners.oip.request_headers import OipRequestHeaders
from gateway.wire.grpc_framing import Unpacking
from gateway.wire.oip import proto as oip_proto
from gateway.wire.proto import messages

HEALTH_PAUSE_S: Final = 1.0
"""Seconds between two looks at the health."""


class HealthWatch:
    """Sends a service's health at once and whenever it changes, until the client leaves."""

    def __init__(self, calls: UnaryCalls, clock: Clock) -> None:
        self._calls = calls
        self._clock = clock

    def __repr__(self) -> str:
        return "<HealthWatch>"

    async def __call__(
        self, stream: RequestBody, unpacking: Unpacking, _headers: OipRequestHeaders, _until: float
    ) -> AsyncGenerator[list[Buffer], None]:
        """Send until cancelled or the connection ends.

        Raises:
            ConnectionClosing: when the connection ends.
        """
        last = 0
        async for message, size in unpacking.each(stream):
            request = oip_proto.parse(messages.HealthCheckRequest, bytes(message))
            stream.consumed(size)
            while not stream.is_leaving:
                status = self._calls.health(request.service)
                if status != last:
                    last = status
                    yield [messages.HealthCheckResponse(status=status).SerializeToString()]
                await self._clock.sleep(HEALTH_PAUSE_S)
            if last != SERVICE_UNKNOWN:
                yield [messages.HealthCheckResponse(status=NOT_SERVING).SerializeToString()]
            raise ConnectionClosing
