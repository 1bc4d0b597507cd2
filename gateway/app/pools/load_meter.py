"""What requests tell of a member's load, which choosing goes by."""

from __future__ import annotations

from typing import Final

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request, Response
from gateway.core.service import Filter, Service
from routing.pools.ewma import AttemptEnd, MemberLoad

_ENOUGH_TO_DO: Final = frozenset({"429", "503", "RESOURCE_EXHAUSTED", "UNAVAILABLE"})
"""Statuses by which a server refuses more, as HTTP and gRPC name them."""


class LoadMeter:
    """Counts the requests under way at a member, and measures how long they take.

    The wait for a place of our own (Bulkhead) is measured as well: it is what one more request would wait. A
    member that refuses at once (429, 503) is not fast: it gets less for a while, for as long as it says.
    """

    def __init__(self, load: MemberLoad) -> None:
        self._load = load
        self.requests = self.failures = 0

    def __repr__(self) -> str:
        return f"<LoadMeter {self._load.active} under way, {self.failures} of {self.requests} failed>"

    async def __call__(self, request: Request, service: Service) -> Response:
        """Answer as the member does."""
        load = self._load
        self.requests += 1
        began, end = load.started(), AttemptEnd.UNFINISHED
        try:
            response = await service(request)
            end = AttemptEnd.ANSWERED
        except GatewayError as error:
            self.failures += 1
            end = self._end_of(error)
            raise
        finally:
            load.ended(began, end)
        return response

    def _end_of(self, error: GatewayError) -> AttemptEnd:
        why = error.why
        if why is None or error.unsent:
            return AttemptEnd.UNFINISHED
        if not why.answered:
            return AttemptEnd.LOST if error.counts else AttemptEnd.UNFINISHED
        if error.fault is Fault.OVERLOADED or why.reason in _ENOUGH_TO_DO:
            self._load.refused(error.retry_after_s)
        return AttemptEnd.UNFINISHED


_: type[Filter] = LoadMeter
