"""The two words of the design: a Service answers a request, a Filter stands around a Service.

An answer may be there already: a cache has it in memory. Then a Service may return the Response itself, and
else a coroutine of it. ``response = await service(request)`` is right for both, and whoever awaits need not
know of the difference. The filters that every hit passes do know. They are plain functions that hand on what
is there, and go on in a coroutine only where they must wait::

    def __call__(self, request, service):
        answered = service(request)
        return answered if isinstance(answered, Response) else self._wait(answered)

Nothing else can happen during such a call, so what is only about waiting (a seat, a timer, a task) is not
taken for it, and a coroutine that is never started leaves nothing behind.

Requests come in series that differ in nothing but their data. What a stack decides by anything else it can
decide once. So a Service or a Filter may have a second method::

    def fast_path(self, like: Request) -> FastPath | None                      # of a Service
    def fast_path(self, like: Request, service: Service) -> FastPath | None    # of a Filter

It answers the requests that are like ``like`` in all but id, deadline and data as the call would, as long as
the answer is in memory. Where it is not, it returns None and has done nothing, and the request takes the
call. A filter that has a say in each request does what it must around the path of the rest; one that would
let every such request pass unchanged returns the path of the rest; one without the method stands in the way.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol

from gateway.core.request import Request, Response
from gateway.core.tensor import Buffer

Pending = Coroutine[Any, Any, Response]
"""An answer that has to be waited for. It must be awaited: it may not have begun."""

FastPath = Callable[[Sequence[Buffer]], Response | None]
"""Takes the data of a request's inputs, in their order."""


class Service(Protocol):
    """Whatever can answer a request: a model, a cache in front of one, a region over a wire."""

    def __call__(self, request: Request) -> Response | Pending:
        """Answer, or raise GatewayError. Cancelling the call must leave the service clean."""
        ...


class Filter(Protocol):
    """Whatever stands around a Service: it may answer, change, repeat, refuse or pass on."""

    def __call__(self, request: Request, service: Service) -> Response | Pending:
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


def fast_path(service: Service, like: Request) -> FastPath | None:
    """Return the fast path of requests like this one, if everything on their way has one.

    Raises:
        GatewayError: as the call would.
    """
    if isinstance(service, partial):
        find = getattr(service.func, "fast_path", None)
        return find(like, service.keywords["service"]) if find else None
    find = getattr(service, "fast_path", None)
    return find(like) if find else None
