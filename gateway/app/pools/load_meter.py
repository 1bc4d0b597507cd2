"""What requests tell of a member's load, which choosing goes by."""

from __future__ import annotations

from gateway.core.errors import GatewayError
from gateway.core.request import Request, Response
from gateway.core.service import Filter, Service
from routing.pools.ewma import AttemptEnd, MemberLoad


class LoadMeter:
    """Counts the requests under way at a member, and measures how long they take.

    The wait for a place of our own (Bulkhead) is measured as well: it is what one more request would wait. A
    failure is no fast answer: one without an answer counts as a refusal, and what a member answers that wants
    less (429, 503) the upstream tells (``LoadObserver``).
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
            if error.counts and error.why is not None and not error.why.answered:
                end = AttemptEnd.LOST
            raise
        finally:
            load.ended(began, end)
        return response


_: type[Filter] = LoadMeter
