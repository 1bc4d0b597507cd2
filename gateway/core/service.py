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
decide once. So a Service or a Filter may declare a fast path (``HasFastPath``, ``PassesFastPath``). It
answers the requests that are like ``like`` in all but id, deadline and data as the call would, as long as the
answer is in memory. Where it is not, it returns None and has done nothing, and the request takes the call.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, runtime_checkable

from gateway.core.request import Caller, Request, Response
from gateway.core.tensor import Buffer

Pending = Coroutine[Any, Any, Response]
"""An answer that has to be waited for. It must be awaited: it may not have begun."""

FastPath = Callable[[Sequence[Buffer]], Response | None]
"""Takes the data of a request's inputs, in their order."""

FindPath = Callable[[Request], FastPath | None]
"""Finds the fast path of requests like the one given; None: they have none."""


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


@runtime_checkable
class HasFastPath(Protocol):
    """A Service that can answer series of requests from memory."""

    def fast_path(self, like: Request) -> FastPath | None:
        """Return the path of requests like this one.

        Raises:
            GatewayError: as the call would.
        """
        ...


@runtime_checkable
class PassesFastPath(Protocol):
    """A Filter that has a part in fast paths. One that does not declare this ends them.

    One that has a say in each request does what it must around the path of the rest; one that would let
    every such request pass unchanged returns the path of the rest.
    """

    def fast_path(self, like: Request, rest: FindPath) -> FastPath | None:
        """Return the path of requests like this one; ``rest`` finds that of the rest of the stack.

        Raises:
            GatewayError: as the call would.
        """
        ...


class NumberedService(Service, Protocol):
    """A Service with the number of its policy generation. A request keeps the one with which it began."""

    @property
    def number(self) -> int:
        """The policy's generation; it only grows."""
        ...

    @property
    def serial(self) -> int:
        """Which generation of this process it is; the number stays when stacks are built anew."""
        ...

    @property
    def routed_headers(self) -> frozenset[str]:
        """The headers, in small letters, by which it chooses routes; they stand in ``Request.routed``."""
        ...

    def identify(self, caller: Caller) -> Caller:
        """Return who a caller is and which regions may see its requests, from what its head claims.

        One that this generation has identified is returned as it is; where there is no policy, everybody is.

        Raises:
            GatewayError: UNAUTHENTICATED or FORBIDDEN.
        """
        ...


def fast_path(service: Service, like: Request) -> FastPath | None:
    """Return the fast path of requests like this one, if ``service`` has any.

    Raises:
        GatewayError: as the call would.
    """
    return service.fast_path(like) if isinstance(service, HasFastPath) else None
