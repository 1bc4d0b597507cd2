"""The two words of the design: a Service answers a request, a Filter stands around a Service."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from gateway.core.request import Request, Response


class Service(Protocol):
    """Whatever can answer a request: a model, a cache in front of one, a region over a wire."""

    async def __call__(self, request: Request) -> Response:
        """Answer, or raise GatewayError. Cancelling the call must leave the service clean."""
        ...


class Filter(Protocol):
    """Whatever stands around a Service: it may answer, change, repeat, refuse or pass on."""

    async def __call__(self, request: Request, service: Service) -> Response:
        """Answer in the name of ``service``, which is the rest of the stack."""
        ...


class Generation(Service, Protocol):
    """The stacks of one policy generation. A request keeps the generation with which it began."""

    @property
    def number(self) -> int:
        """The policy's generation; it only grows."""
        ...


def stack(*filters: Filter, service: Service) -> Service:
    """Wrap ``service`` so that the first filter named is the outermost."""
    for filter_ in reversed(filters):
        service = partial(filter_, service=service)
    return service
