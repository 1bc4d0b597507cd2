"""The filter in front of one endpoint: refuses what cannot succeed, and reports how all else ended."""

from __future__ import annotations

import asyncio

from gateway.core.errors import GatewayError
from gateway.core.request import Request, Response
from gateway.core.service import Filter, Service
from resilience.endpoint_health import EndpointHealth


class Breaker:
    """Refuses requests for an endpoint that is out, and reports to its health how the others ended."""

    def __init__(self, health: EndpointHealth) -> None:
        self._health = health

    def __repr__(self) -> str:
        return f"<Breaker {self._health!r}>"

    async def __call__(self, request: Request, service: Service) -> Response:
        """Answer, unless the endpoint is out.

        Raises:
            GatewayError: UNAVAILABLE, for another endpoint to try; it is no evidence against this one.
        """
        health = self._health
        ticket = health.admit(in_panic=request.panic)
        if ticket is None:
            raise health.refusal()
        try:
            response = await service(request)
        except GatewayError as error:
            health.failed(ticket, request, error)
            raise
        except asyncio.CancelledError:
            # The caller left.
            health.unanswered(ticket)
            raise
        except BaseException:
            # A bug of ours, which no endpoint can be blamed for.
            health.left(ticket)
            raise
        health.succeeded(ticket, request)
        return response


_: type[Filter] = Breaker
