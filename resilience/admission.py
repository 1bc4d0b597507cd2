"""Admission: which callers are let in, and how many requests at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller, Request, Response
from gateway.core.service import FastPath, Filter, FindPath, PassesFastPath, Pending, Service
from gateway.core.telemetry import Refused, Telemetry
from gateway.core.tensor import Buffer
from resilience.settings import AdmissionSettings


class Seats:
    """The requests of this process, whichever policy generation they began under."""

    __slots__ = ("limit", "taken")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0

    def __repr__(self) -> str:
        return f"<Seats {self.taken} of {self.limit} taken>"

    def are_taken(self) -> bool:
        """Whether the next request would be refused."""
        return self.taken >= self.limit


class Admission:
    """Lets in the callers that ``identify`` knows, as long as there are seats.

    Args:
        identify: returns the caller as checked (the same object when nothing changed), or raises
            GatewayError; it must not wait, and decide the same about the same caller every time.
        seats: shared by all stacks of the process.
        settings: when a refused caller may come again.
        telemetry: gets ``Refused``.
    """

    def __init__(
        self,
        identify: Callable[[Caller], Caller],
        seats: Seats,
        settings: AdmissionSettings,
        telemetry: Telemetry,
    ) -> None:
        self._identify = identify
        self._seats = seats
        self._retry_after_s = settings.retry_after_s
        self._telemetry = telemetry

    def __repr__(self) -> str:
        return f"<Admission {self._seats.taken} of {self._seats.limit} running>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Let the request in, or refuse it before it costs anything.

        Raises:
            GatewayError: OVERLOADED; whatever ``identify`` raises.
        """
        # The limit comes first: under overload even looking at credentials is work.
        if self._seats.are_taken():
            raise self._full()
        try:
            caller = self._identify(request.caller)
        except GatewayError as error:
            self._telemetry.emit(Refused("admission", error.fault))
            raise
        if caller is not request.caller:
            request = replace(request, caller=caller)

        answered = service(request)
        return answered if isinstance(answered, Response) else self._wait(answered)

    def fast_path(self, like: Request, rest: FindPath) -> FastPath | None:
        """Return a path that is closed while there is no seat.

        Raises:
            GatewayError: whatever ``identify`` raises.
        """
        caller = self._identify(like.caller)
        path = rest(like if caller is like.caller else replace(like, caller=caller))
        if path is None:
            return None
        seats = self._seats

        def answer(data: Sequence[Buffer]) -> Response | None:
            return None if seats.taken >= seats.limit else path(data)

        return answer

    async def _wait(self, pending: Pending) -> Response:
        seats = self._seats
        if seats.are_taken():
            # It was not awaited at once, and the last seat was taken meanwhile.
            pending.close()
            raise self._full()
        seats.taken += 1
        try:
            return await pending
        finally:
            seats.taken -= 1

    def _full(self) -> GatewayError:
        self._telemetry.emit(Refused("admission", "concurrency"))
        return GatewayError(
            Fault.OVERLOADED,
            "the gateway is at its limit of concurrent requests; try again later",
            retry_after_s=self._retry_after_s,
        )


_: tuple[type[Filter], type[PassesFastPath]] = (Admission, Admission)
