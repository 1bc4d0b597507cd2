"""What happens once per flight: look into the other levels, else let the rest answer, and keep the answer.

``CacheLookup`` has given the request its key. What the first level holds may have expired, and then it can
still stand in for an answer that cannot be had. What a further level holds may be served while it is computed
anew.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from msgspec.structs import replace

from cache.early_refresh import EarlyRefreshes
from cache.freshness import Freshness, is_young, stale
from cache.leases import UNLEASED, Claim, Leases
from cache.levels.level import Entry, Levels
from gateway.core.cache_control import CacheDirectives, not_cached
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
    all. ``leases``: by which one process computes what several miss; None: each for itself.
    """

    def __init__(
        self,
        levels: Levels,
        *,
        freshness: Freshness,
        refreshes: EarlyRefreshes,
        accepts: Accepts,
        keeps: Accepts,
        leases: Leases | None = None,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._levels = levels
        self._near = levels[0]
        self._far = levels[1:]
        self._freshness = freshness
        self._refreshes = refreshes
        self._accepts, self._keeps, self._leases = accepts, keeps, leases
        self._now = clock.now
        self._steady = clock.steady
        self._emit = telemetry.emit

    def __repr__(self) -> str:
        return f"<CacheFill {' > '.join(map(repr, self._levels))}, {self._freshness}>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Answer from a further level, else from ``service``; an error passes unless a stale answer helps."""
        return self._fill(request, service) if request.key else service(request)

    async def _fill(self, request: Request, service: Service) -> Response:
        control, held = request.cache_control, self._near.stored(request.key)
        if control is None or not control.no_cache:
            held, is_fresh = await self._find(request, held)
            if held is not None and (is_fresh or self._may_serve_stale(control, held)):
                return self._serve(request, held, service, is_fresh=is_fresh)
            if control is not None and control.only_if_cached:
                raise not_cached()
        claim = await self._claim(request, held)
        if isinstance(claim, Response):
            return claim
        async with claim:
            return await self._compute(request, held, service, claim)

    def _may_serve_stale(self, control: CacheDirectives | None, held: Entry) -> bool:
        """Whether an answer past its freshness is one for this client, and not for the cache itself."""
        if control is not None and (control.refuses_stale or control.is_refresh):
            return False
        return self._freshness.may_revalidate(held, self._steady())

    def _serve(self, request: Request, held: Entry, service: Service, *, is_fresh: bool) -> Response:
        if is_fresh:
            return held.response
        if request.cache_control is None:
            self._refreshes.start(request, partial(self, service=service))
        return stale(held.response)

    async def _claim(self, request: Request, held: Entry | None) -> Claim | Response:
        """Return a claim to compute the answer, or the answer, which another process has computed."""
        control = request.cache_control
        is_new = control is not None and control.no_cache
        # The gateway that has forwarded a request may wait for it with the lease of the very same key.
        if self._leases is None or request.hops or is_new:
            return UNLEASED
        is_fresh = held is not None and held.soft_expiry > self._steady()
        fresher = partial(self._fresher, request, held)
        claim = await self._leases.claim(request.key, request.deadline, fresher, waits=not is_fresh)
        if isinstance(claim, Entry):
            await self._near.put(request.key, claim.for_whom(request))
            return claim.response
        if claim is None:
            assert held is not None, "nothing that is not held is let go without a wait"
            return held.response
        return claim

    async def _compute(
        self, request: Request, held: Entry | None, service: Service, claim: Claim
    ) -> Response:
        control, started, began = request.cache_control, self._now(), self._steady()
        takes_stale = control is None or not control.refuses_stale
        try:
            response = await service(request)
        except GatewayError as error:
            can_help = held is not None and self._freshness.may_stand_in(held, error, self._steady())
            if held is None or not takes_stale or not can_help:
                raise
            return stale(held.response)
        if not self._keeps(request, response):
            return response
        if held is not None and self._freshness.outranks(held, response.provenance, self._steady()):
            # Who wants nothing that is held gets what was just computed, and it displaces nothing.
            return await self._hold(request.key, held) if takes_stale else response
        elapsed_s = self._now() - started
        if self._leases is not None:
            self._leases.times.add(elapsed_s)
        await self._keep(request, response, claim, elapsed_s=elapsed_s, began=began)
        return response

    async def _find(self, request: Request, held: Entry | None) -> tuple[Entry | None, bool]:
        """Return what a further level has that is fresh and newer (True), else what may stand in (False).

        An answer that is older than the client wants it is not fresh for it.
        """
        key, control, near = request.key, request.cache_control, held
        for place, level in enumerate(self._far, 1):
            found = await level.get(key)
            if found is None:
                continue
            if not self._is_ours(request, found.response, is_shared=level.is_shared):
                self._emit(CacheLookedUp(level.name, "garbage"))
                continue
            now = self._steady()
            found = self._freshness.believed(found, now)
            is_newer = found.soft_expiry > max(now, held.soft_expiry if held else 0.0)
            if is_newer and is_young(found.response, control, now):
                self._emit(CacheLookedUp(level.name, "hit"))
                found = found.for_whom(request)
                for faster in self._levels[:place]:
                    await faster.put(key, found)
                return found, True
            self._emit(CacheLookedUp(level.name, "stale"))
            held = found if held is None or held.soft_expiry < found.soft_expiry else held
        if held is not None and held is not near and self._freshness.may_revalidate(held, self._steady()):
            # The next ones are served from here, without a flight.
            await self._near.put(key, held.for_whom(request))
        return held, False

    def _fresher(self, request: Request, held: Entry | None, found: Entry) -> Entry | None:
        """Return what another process has put at a shared level, if it is fresh, newer, and young enough."""
        if not self._is_ours(request, found.response, is_shared=True):
            return None
        now = self._steady()
        found = self._freshness.believed(found, now)
        is_newer = found.soft_expiry > max(now, held.soft_expiry if held else 0.0)
        return found if is_newer and is_young(found.response, request.cache_control, now) else None

    def _is_ours(self, request: Request, response: Response, *, is_shared: bool) -> bool:
        provenance = response.provenance
        is_expected = self._freshness.keeps(provenance, shared=is_shared)
        return is_expected and self._keeps(request, response) and self._accepts(request, response)

    async def _hold(self, key: bytes, held: Entry) -> Response:
        """Answer with ``held``, and for a moment without trying again: nothing better can be had now."""
        now = self._steady()
        if now < held.soft_expiry:
            # Still fresh; an early refresh has found nothing, and the next is due when it expires.
            await self._near.put(key, replace(held, compute_s=0.0))
            return held.response
        response, ends = stale(held.response), self._freshness.stands_in_until(held)
        until = min(now + self._freshness.uncertified_ttl_s, ends)
        waiting = replace(held, response=response, soft_expiry=until, hard_expiry=ends, compute_s=0.0)
        await self._near.put(key, waiting)
        return response

    async def _keep(
        self, request: Request, response: Response, claim: Claim, *, elapsed_s: float, began: float
    ) -> None:
        now = self._steady()
        lifetime = self._freshness.lifetime(response.provenance, now)
        if lifetime is None or sum([len(output.data) for output in response.outputs]) > MAX_KEPT_BYTES:
            return
        if request.features or response.provenance.features:
            # Vectors were lacking: what was computed without them is for the moment.
            lifetime = self._freshness.momentary(lifetime, now)
            if lifetime.soft_expiry <= now:
                return
        entry = Entry.of(
            response,
            soft_expiry=lifetime.soft_expiry,
            hard_expiry=lifetime.hard_expiry,
            compute_s=self._freshness.compute_s(elapsed_s, lifetime, now),
            born=response.born or began,
        ).for_whom(request)
        for level in self._levels:
            if lifetime.shared or not level.is_shared:
                await claim.put(level, request.key, entry)


_: type[Filter] = CacheFill
