"""How popular answers of the edge are verified at central, and when they are not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from cache.levels.level import NearLevel
from cache.settings import CacheSettings
from edge_models.licence import Permission
from gateway.app.parts import Parts
from gateway.core.cache_events import CacheVerified
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import CENTRAL, Request, Response
from gateway.core.service import Service
from gateway.core.telemetry import Telemetry
from resilience.budget import RetryBudget
from routing.policy import Policy, Route
from routing.rate import RateMeter

SMALL_BYTES: Final = 64 << 10
"""Answers up to this size are compared on the loop; that takes less than a millisecond."""

Differs = Callable[[Response, Response], bool]


class CentralCheck:
    """Asks central what the edge has answered, and compares; a Service that answers as central does.

    It goes where the request may, since the router reads its regions, and once, without retries. Like a hedge
    it holds a place of the retry budget.

    Args:
        route: how it is counted.
        central: sends to the central endpoints of the route.
        level: has the answer that is verified.
        differs: whether the second says something else than the first, as the certificate has it.
        learn: hears of every answer of central's, with the requested version.
        budget: the retry budget of the process.
        telemetry: gets every result.
    """

    def __init__(
        self,
        route: str,
        central: Service,
        *,
        level: NearLevel,
        differs: Differs,
        learn: Callable[[Response, str], None],
        budget: RetryBudget,
        telemetry: Telemetry,
    ) -> None:
        self._route, self._central, self._level = route, central, level
        self._differs, self._learn = differs, learn
        self._budget, self._emit = budget, telemetry.emit

    def __repr__(self) -> str:
        return f"<CentralCheck of {self._route}>"

    async def __call__(self, request: Request) -> Response:
        """Return what central answers.

        Raises:
            GatewayError: it cannot be had, or may not be asked now.
        """
        if not self._budget.take():
            self._emit(CacheVerified(self._route, "skipped"))
            raise GatewayError(Fault.OVERLOADED, "the retry budget has no room to verify an answer")
        try:
            response = _of_central(await self._central(request))
        except GatewayError:
            self._emit(CacheVerified(self._route, "failed"))
            raise
        finally:
            self._budget.give_back()
        await self._compare(request, response)
        return response

    async def _compare(self, request: Request, response: Response) -> None:
        self._learn(response, request.version)
        held = self._level.stored(request.key)
        if held is None:
            return
        if sum([len(output.data) for output in response.outputs]) <= SMALL_BYTES:
            differs = self._differs(held.response, response)
        else:
            differs = await asyncio.to_thread(self._differs, held.response, response)
        self._emit(CacheVerified(self._route, "differed" if differs else "agreed"))


def _of_central(response: Response) -> Response:
    if response.provenance.origin != CENTRAL:
        raise GatewayError(Fault.UNAVAILABLE, "what answered is not the central tier")
    return response


class VerificationRoom:
    """Whether one more answer may be verified now: ``rate`` has room, and one of ``endpoints`` is well."""

    def __init__(
        self,
        route: str,
        rate: RateMeter,
        *,
        endpoints: Sequence[str],
        is_available: Callable[[str], bool],
        telemetry: Telemetry,
    ) -> None:
        self._route, self._rate, self._endpoints = route, rate, endpoints
        self._is_available, self._emit = is_available, telemetry.emit

    def __repr__(self) -> str:
        return f"<VerificationRoom {self._rate}>"

    def __call__(self) -> bool:
        """Take a place, if there is one."""
        if self._rate.is_full or not any(map(self._is_available, self._endpoints)):
            self._emit(CacheVerified(self._route, "skipped"))
            return False
        self._rate.count()
        return True


class CentralTier(msgspec.Struct, frozen=True):
    """The central endpoints of a route: ``service`` sends to one of them, once."""

    endpoints: tuple[str, ...]
    service: Service
    is_available: Callable[[str], bool]


def central_endpoints(policy: Policy, route: Route) -> tuple[str, ...]:
    """Return the endpoints of ``route`` that are of the central tier."""
    known = [name for name in route.endpoints if name in policy.endpoints]
    return tuple([name for name in known if policy.endpoints[name].tier == CENTRAL])


def central_check(
    parts: Parts, route: Route, central: CentralTier, level: NearLevel, licence: Permission
) -> CentralCheck:
    """Return what compares the answers that ``level`` holds with those of ``central``."""
    return CentralCheck(
        route.name,
        central.service,
        level=level,
        differs=licence.differs,
        learn=licence.compare,
        budget=parts.budget,
        telemetry=parts.telemetry,
    )


def verification_room(
    parts: Parts, route: Route, central: CentralTier, settings: CacheSettings
) -> VerificationRoom:
    """Return what says whether one more answer of ``route`` may be verified."""
    return VerificationRoom(
        route.name,
        RateMeter(settings.max_verifications_per_s, parts.clock.tick),
        endpoints=central.endpoints,
        is_available=central.is_available,
        telemetry=parts.telemetry,
    )
