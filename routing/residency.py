"""The filter that fixes, once and for all layers below, which regions may see a request."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from msgspec.structs import replace

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller, Request, Response
from gateway.core.service import FastPath, Filter, FindPath, PassesFastPath, Pending, Service
from gateway.core.telemetry import Refused, Telemetry
from routing.place import Place
from routing.policy import Policy
from routing.rules.residency import allowed

_REMEMBERED: Final = 8192
_REFUSED: Final = Refused("residency", "no_region")

Locate = Callable[[str], Place | None]


class Residency:
    """Narrows ``request.regions`` to what tenant and place allow, and names the residency class.

    Where the own region is among them the rest of the stack answers. Else the request goes
    ``abroad``: straight to the endpoints of the regions that may see it, with no cache and no model
    of this region on the way, because nothing of it may be kept or computed here.

    It trusts ``caller.tenant``, so it must stand below the check of who the caller is. What that check has
    fixed already (``caller.regions``) is not decided again.
    """

    def __init__(
        self, policy: Policy, own_region: str, *, locate: Locate, abroad: Service, telemetry: Telemetry
    ) -> None:
        self._policy = policy
        self._own_region = own_region
        self._locate = locate
        self._abroad = abroad
        self._telemetry = telemetry
        self._decide = lru_cache(_REMEMBERED)(self._find)

    def __repr__(self) -> str:
        return f"<Residency {self._own_region}>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Pass on, send abroad, or refuse.

        Raises:
            GatewayError: UNAVAILABLE when no region may see the request.
        """
        request = self._narrowed(request)
        assert request.regions is not None, "they have just been fixed"
        return (service if self._own_region in request.regions else self._abroad)(request)

    def fast_path(self, like: Request, rest: FindPath) -> FastPath | None:
        """Return the path of the rest, for those whom this region may answer.

        Raises:
            GatewayError: UNAVAILABLE when no region may see the requests.
        """
        like = self._narrowed(like)
        assert like.regions is not None, "they have just been fixed"
        return rest(like) if self._own_region in like.regions else None

    def _narrowed(self, request: Request) -> Request:
        caller = request.caller
        regions = caller.regions
        if regions is None:
            caller, regions = self._decide(caller.address, caller.tenant, caller.vouched)
        if request.regions is not None:
            regions &= request.regions
        if not regions:
            self._telemetry.emit(_REFUSED)
            raise GatewayError(
                Fault.UNAVAILABLE,
                "no allowed region: the residency of this tenant and place leaves none that may answer",
            )
        if caller is request.caller and regions == request.regions:
            return request
        return replace(request, caller=caller, regions=regions)

    def _find(self, address: str, tenant: str, vouched: bool) -> tuple[Caller, frozenset[str]]:  # noqa: FBT001
        decision = allowed(self._policy, tenant, self._locate(address))
        return Caller(address, tenant, "", vouched, decision.residency), decision.regions


_: tuple[Callable[..., Filter], Callable[..., PassesFastPath]] = (Residency, Residency)
