"""What of a request's Cache-Control a route obeys, and which requests pass its cache by."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from gateway.core.cache_control import NO_STORE
from gateway.core.request import Request, Response
from gateway.core.service import FastPath, Filter, FindPath, PassesFastPath, Pending, Service

Bypasses = Callable[[Request], bool]
"""Whether a request passes the cache of its route by. It goes by nothing that differs within a series."""


class CacheControls:
    """Stands above the look-up of a route that has such rules.

    ``ignores``: what clients say means nothing here. ``bypasses``: these requests are neither answered from
    the cache nor kept, whatever they say; one that must not be computed is refused.
    """

    def __init__(self, bypasses: Bypasses, *, ignores: bool) -> None:
        self._bypasses, self._ignores = bypasses, ignores

    def __repr__(self) -> str:
        return f"<CacheControls {'ignored' if self._ignores else 'obeyed'}, {self._bypasses!r}>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Answer from ``service``, which gets what is in force for the request."""
        return service(self._ruled(request))

    def fast_path(self, like: Request, rest: FindPath) -> FastPath | None:
        """Return the path of the rest for what is in force: nothing here goes by data."""
        return rest(self._ruled(like))

    def _ruled(self, request: Request) -> Request:
        if self._ignores and request.cache_control is not None:
            request = replace(request, cache_control=None)
        if self._bypasses(request):
            control = request.cache_control
            ruled = NO_STORE if control is None else replace(control, no_store=True)
            return replace(request, cache_control=ruled)
        return request


_: tuple[type[Filter], type[PassesFastPath]] = (CacheControls, CacheControls)
