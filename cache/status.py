"""What the cache did for each answer, for routes whose clients may know: ``Age`` and ``x-edgeway-cache``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from gateway.core.clock import Clock
from gateway.core.request import SEQUENCE, CacheStatus, Request, Response
from gateway.core.service import FastPath, Filter, FindPath, PassesFastPath, Pending, Service
from gateway.core.tensor import Buffer

HIT: Final = "hit"
STALE: Final = "stale"
MISS: Final = "miss"
BYPASS: Final = "bypass"


class CacheStatusMark:
    """Marks answers with what the cache did; it stands directly above the look-up.

    ``forbids``: as the look-up has it.
    """

    def __init__(self, clock: Clock, forbids: Callable[[str], bool]) -> None:
        self._steady, self._forbids = clock.steady, forbids

    def __repr__(self) -> str:
        return "<CacheStatusMark>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Answer from ``service``, marked."""
        answered = service(request)
        return (
            self._mark(request, answered) if isinstance(answered, Response) else self._wait(request, answered)
        )

    def fast_path(self, like: Request, rest: FindPath) -> FastPath | None:
        """Return the path of the rest, whose answers are marked."""
        path = rest(like)
        if path is None:
            return None

        def answer(data: Sequence[Buffer]) -> Response | None:
            response = path(data)
            return None if response is None else self._mark(like, response)

        return answer

    async def _wait(self, request: Request, pending: Pending) -> Response:
        return self._mark(request, await pending)

    def _mark(self, request: Request, response: Response) -> Response:
        if not response.born:
            outcome = BYPASS if self._passed_by(request) else MISS
            return replace(response, cache_status=CacheStatus(outcome))
        provenance = response.provenance
        age_s = max(0, int(self._steady() - response.born))
        status = CacheStatus(STALE if provenance.stale else HIT, provenance.level, age_s)
        return replace(response, cache_status=status)

    def _passed_by(self, request: Request) -> bool:
        control = request.cache_control
        if control is not None and (control.no_store or control.no_cache):
            return True
        return SEQUENCE in request.parameters or self._forbids(request.model)


_: tuple[type[Filter], type[PassesFastPath]] = (CacheStatusMark, CacheStatusMark)
