"""What happens once per flight: look into the other levels, else let the rest answer, and keep the answer.

``CacheLookup`` has given the request its key. What the first level holds may have expired, and then it can
still stand in for an answer that cannot be had.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from cache.freshness import Freshness, may_serve_stale
from cache.levels.level import Entry, Level, Levels
from gateway.core.cache_events import CacheLookedUp
from gateway.core.clock import Clock
from gateway.core.errors import GatewayError
from gateway.core.request import Request, Response
from gateway.core.service import Filter, Pending, Service
from gateway.core.telemetry import Telemetry

MAX_KEPT_BYTES: Final = 8 << 20
"""Of all outputs of an answer that is kept: what is kept is copied, which takes about 1 ms a MiB."""

Accepts = Callable[[Request, Response], bool]


class CacheFill:
    """Finds or makes what the first of ``levels`` does not have, and puts it there.

    An entry found in a level is put into all faster ones. The levels outlive the stacks and are closed by who
    made them. ``accepts``: whether an answer that a further level holds can be one to the request. One that
    cannot counts as garbage, and is written over. ``keeps``: whether an answer may be kept at
    all.
    """

    def __init__(
        self,
        levels: Levels,
        *,
        freshness: Freshness,
        accepts: Accepts,
        keeps: Accepts,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._levels = levels
        self._near = levels[0]
        self._far = levels[1:]
        self._freshness = freshness
        self._accepts, self._keeps = accepts, keeps
        self._now = clock.now
        self._steady = clock.steady
        self._emit = telemetry.emit

    def __repr__(self) -> str:
        return f"<CacheFill {' > '.join(map(repr, self._levels))}, {self._freshness}>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Answer from a further level, else from ``service``; an error passes unless a stale answer helps."""
        return self._fill(request, service) if request.key else service(request)

    async def _fill(self, request: Request, service: Service) -> Response:
        held, is_fresh = await self._find(request, self._near.stored(request.key))
        if held is not None and is_fresh:
            return held.response
        started = self._now()
        try:
            response = await service(request)
        except GatewayError as error:
            if held is None or not may_serve_stale(held, error, self._steady()):
                raise
            return _stale(held.response)
        if not self._keeps(request, response):
            return response
        if held is not None and self._freshness.outranks(held, response.provenance, self._steady()):
            return await self._hold(request.key, held)
        await self._keep(request, response, self._now() - started)
        return response

    async def _find(self, request: Request, held: Entry | None) -> tuple[Entry | None, bool]:
        """Return what a further level has that is fresh and newer (True), else what may stand in (False)."""
        key = request.key
        for place, level in enumerate(self._far, 1):
            found = await level.get(key)
            if found is None:
                continue
            if not self._is_ours(request, found.response, level):
                self._emit(CacheLookedUp(level.name, "garbage"))
                continue
            found = self._freshness.believed(found, self._steady())
            if found.soft_expiry > max(self._steady(), held.soft_expiry if held else 0.0):
                self._emit(CacheLookedUp(level.name, "hit"))
                found = replace(found, holder=request.caller.tenant)
                for faster in self._levels[:place]:
                    await faster.put(key, found)
                return found, True
            self._emit(CacheLookedUp(level.name, "stale"))
            held = found if held is None or held.soft_expiry < found.soft_expiry else held
        return held, False

    def _is_ours(self, request: Request, response: Response, level: Level) -> bool:
        provenance = response.provenance
        is_expected = self._freshness.keeps(provenance, shared=level.is_shared)
        return is_expected and self._keeps(request, response) and self._accepts(request, response)

    async def _hold(self, key: bytes, held: Entry) -> Response:
        """Answer with ``held``, and for a moment without trying again: nothing better can be had now."""
        now = self._steady()
        if now < held.soft_expiry:
            # Still fresh; an early refresh has found nothing, and the next is due when it expires.
            await self._near.put(key, replace(held, compute_s=0.0))
            return held.response
        response = _stale(held.response)
        until = min(now + self._freshness.uncertified_ttl_s, held.hard_expiry)
        await self._near.put(key, replace(held, response=response, soft_expiry=until, compute_s=0.0))
        return response

    async def _keep(self, request: Request, response: Response, elapsed_s: float) -> None:
        now = self._steady()
        lifetime = self._freshness.lifetime(response.provenance, now)
        if lifetime is None or sum([len(output.data) for output in response.outputs]) > MAX_KEPT_BYTES:
            return
        entry = Entry.of(
            response,
            soft_expiry=lifetime.soft_expiry,
            hard_expiry=lifetime.hard_expiry,
            compute_s=self._freshness.compute_s(elapsed_s, lifetime, now),
            holder=request.caller.tenant,
        )
        for level in self._levels:
            if lifetime.shared or not level.is_shared:
                await level.put(request.key, entry)


def _stale(response: Response) -> Response:
    return replace(response, provenance=replace(response.provenance, stale=True))


_: type[Filter] = CacheFill
