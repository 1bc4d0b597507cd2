"""The health service's Watch."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from gateway.core.tensor import Buffer
from gateway.http.exchange import ConnectionClosing, RequestBody
from gateway.listeners.oip.grpc.health_ticker import HealthTicker
from gateway.listeners.oip.grpc.unary import NOT_SERVING, SERVICE_UNKNOWN, UnaryCalls
from gateway.listeners.oip.request_headers import OipRequestHeaders
from gateway.wire.grpc_framing import Unpacking
from gateway.wire.oip import proto as oip_proto
from gateway.wire.proto import messages


class HealthWatch:
    """Sends a service's health at once and whenever it changes, until the client leaves."""

    def __init__(self, calls: UnaryCalls, ticker: HealthTicker) -> None:
        self._calls, self._ticker = calls, ticker

    def __repr__(self) -> str:
        return f"<HealthWatch with {self._ticker!r}>"

    async def __call__(
        self, stream: RequestBody, unpacking: Unpacking, headers: OipRequestHeaders, _until: float
    ) -> AsyncGenerator[list[Buffer], None]:
        """Send until cancelled or the connection ends.

        Raises:
            GatewayError: OVERLOADED when there are too many such calls.
            ConnectionClosing: when the connection ends.
        """
        with self._ticker.watcher(stream, headers.caller.address) as watcher:
            async for message, size in unpacking.each(stream):
                service = oip_proto.parse(messages.HealthCheckRequest, bytes(message)).service
                stream.consumed(size)
                while not stream.is_leaving:
                    health = self._calls.health(service)
                    if health != watcher.seen or watcher.is_due:
                        watcher.quiet = 0
                        yield [messages.HealthCheckResponse(status=health).SerializeToString()]
                    watcher.seen, watcher.follows = health, health != SERVICE_UNKNOWN
                    await watcher.news()
                if watcher.seen != SERVICE_UNKNOWN:
                    yield [messages.HealthCheckResponse(status=NOT_SERVING).SerializeToString()]
                raise ConnectionClosing
