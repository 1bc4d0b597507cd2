"""The time that a route grants each attempt."""

from __future__ import annotations

from msgspec.structs import replace

from gateway.core.request import Request, Response
from gateway.core.service import Filter, Pending, Service


class PerTryTimeout:
    """Notes on each request that each of its attempts gets ``limit_s``; ``AttemptTimeout`` keeps it.

    It is kept at the member of an endpoint, behind the wait for a place there: that wait is ours, and no
    evidence against the endpoint.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s

    def __repr__(self) -> str:
        return f"<PerTryTimeout {self._limit_s:g} s>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Answer as ``service`` does."""
        return service(replace(request, per_try_timeout_s=self._limit_s))


_: type[Filter] = PerTryTimeout
