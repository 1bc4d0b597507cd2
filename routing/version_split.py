"""The filter that divides the requests of a route among versions of its model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import accumulate

from msgspec.structs import replace

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request, Response
from gateway.core.service import FastPath, Filter, FindPath, PassesFastPath, Pending, Service
from routing.conditions import VERSION
from routing.match import ANY
from routing.policy import Route
from routing.stickiness import goes_by_input, key_by, place_of, salt_of, share_of


class VersionSplit:
    """Gives a request that names no version one of the route's, the same one for equal keys.

    A version whose part grows keeps the requests that it has, where there are two.
    """

    def __init__(self, route: Route) -> None:
        self._by, self._key = route.sticky_by, key_by(route.sticky_by)
        self._salt = salt_of("versions", route.name)
        self._weights: Mapping[str, int] = route.versions
        self._parts = [
            (share_of(end), version)
            for version, end in zip(route.versions, accumulate(route.versions.values()), strict=True)
        ]
        self._choosers = frozenset(route.version_override)

    def __repr__(self) -> str:
        parts = ", ".join(f"{version}: {weight} %" for version, weight in self._weights.items())
        return f"<VersionSplit {parts} by {self._by}>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Pass the request on with a version.

        Raises:
            GatewayError: INVALID when one who may choose chooses a version that the route lacks.
        """
        return service(self.versioned(request))

    def versioned(self, request: Request) -> Request:
        """Return the request with its version.

        Raises:
            GatewayError: as the call.
        """
        if request.version:
            return request
        return replace(request, version=self._chosen(request) or self._drawn(request))

    def fast_path(self, like: Request, rest: FindPath) -> FastPath | None:
        """Return the path of the rest, for requests whose data has no say.

        Raises:
            GatewayError: as the call would.
        """
        if like.version:
            return rest(like)
        chosen = self._chosen(like)
        if not chosen and goes_by_input(self._by, like):
            return None
        return rest(replace(like, version=chosen or self._drawn(like)))

    def _chosen(self, request: Request) -> str:
        """Return the version that the caller chooses; empty: none, or the caller may not choose."""
        if not self._choosers or self._choosers.isdisjoint((request.caller.tenant, ANY)):
            return ""
        version = dict(request.routed).get(VERSION, "")
        if version and version not in self._weights:
            raise GatewayError(
                Fault.INVALID,
                f"the header {VERSION} names none of the versions of this route: {', '.join(self._weights)}",
            )
        return version

    def _drawn(self, request: Request) -> str:
        drawn = place_of(self._key(request), self._salt)
        return next(version for end, version in self._parts if drawn < end)


_: tuple[Callable[..., Filter], Callable[..., PassesFastPath]] = (VersionSplit, VersionSplit)
