"""The cache as a filter: L1, then L2, then the rest of the stack.

A fresh hit in L1 is answered without waiting for anything. All else happens in a flight of its own,
which equal requests share: look into L2, else let the rest answer, and write to both levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from cache.freshness import Freshness, may_serve_stale
from cache.key import RequestHasher
from cache.levels.level import Entry, Level
from cache.levels.memory import MemoryLevel
from cache.single_flight import SingleFlight
from gateway.core.clock import Clock
from gateway.core.errors import GatewayError
from gateway.core.request import SEQUENCE, Request, Response
from gateway.core.service import FastPath, Filter, Pending, Service
from gateway.core.telemetry import CacheLookedUp, Telemetry
from gateway.core.tensor import Buffer


class Cache:
    """Answers from the levels, which outlive it and are shared by all stacks.

    One stack has one Cache with a hasher, a flight and a freshness of its own. Requests of a sequence
    pass it by: their answers depend on those before.
    """

    def __init__(
        self,
        memory: MemoryLevel,
        remote: Level | None,
        *,
        hasher: RequestHasher,
        freshness: Freshness,
        flight: SingleFlight,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._memory = memory
        self._remote = remote
        self._hasher = hasher
        self._freshness = freshness
        self._flight = flight
        self._now = clock.now
        self._wall = clock.wall
        self._emit = telemetry.emit
        self._peek = memory.peek
        self._reach = freshness.reach
        # Events of every outcome are made once: a hit allocates nothing.
        self._hit = CacheLookedUp(memory.name, "hit")
        self._early = CacheLookedUp(memory.name, "early")
        self._stale = CacheLookedUp(memory.name, "stale")
        self._miss = CacheLookedUp(memory.name, "miss")
        self._remote_hit = CacheLookedUp("l2", "hit")
        self._remote_stale = CacheLookedUp("l2", "stale")

    def __repr__(self) -> str:
        return f"<Cache {self._memory}, {self._remote}, {self._flight}>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Answer from a level, else from ``service``; an error of ``service`` passes unless stale helps."""
        if request.parameters and SEQUENCE in request.parameters:
            return service(request)
        key = self._hasher(request)
        entry = self._peek(key)
        if entry is None:
            return self._flight(key, request, partial(self._fill, key, None, service))
        now = self._wall()
        if now + entry.compute_s * self._reach < entry.soft_expiry:
            self._emit(self._hit)
            return entry.response
        return self._near_expiry(key, entry, now, request, service)

    def fast_path(self, like: Request, service: Service) -> FastPath | None:  # noqa: ARG002 - not asked
        """Return the path of answers that L1 holds and that are far from their expiry."""
        if SEQUENCE in like.parameters:
            return None
        key_of, glance = self._hasher.keys(like), self._memory.glance
        wall, reach, emit, hit = self._wall, self._reach, self._emit, self._hit

        def answer(data: Sequence[Buffer]) -> Response | None:
            entry = glance(key_of(data))
            if entry is None or wall() + entry.compute_s * reach >= entry.soft_expiry:
                return None
            emit(hit)
            return entry.response

        return answer

    async def aclose(self) -> None:
        """Cancel the flights under way. The levels are closed by who made them."""
        await self._flight.aclose()

    def _near_expiry(
        self, key: bytes, entry: Entry, now: float, request: Request, service: Service
    ) -> Response | Pending:
        fill = partial(self._fill, key, entry, service)
        if now >= entry.soft_expiry:
            self._emit(self._stale if now < entry.hard_expiry else self._miss)
            return self._flight(key, request, fill)
        if self._freshness.is_due(entry, now):
            self._emit(self._early)
            self._flight.refresh(key, request, fill)
        else:
            self._emit(self._hit)
        return entry.response

    async def _fill(self, key: bytes, held: Entry | None, service: Service, request: Request) -> Response:
        """Find or make a newer answer than ``held``, which stands in when there is none."""
        if self._remote is not None and (found := await self._remote.get(key)) is not None:
            if found.soft_expiry > max(self._wall(), held.soft_expiry if held else 0.0):
                self._emit(self._remote_hit)
                await self._memory.put(key, found)
                return found.response
            self._emit(self._remote_stale)
            held = found if held is None or held.soft_expiry < found.soft_expiry else held
        started = self._now()
        try:
            response = await service(request)
        except GatewayError as error:
            if held is None or not may_serve_stale(held, error, self._wall()):
                raise
            return _stale(held.response)
        if held is not None and self._freshness.outranks(held, response.provenance, self._wall()):
            return await self._hold(key, held)
        await self._keep(key, response, self._now() - started)
        return response

    async def _hold(self, key: bytes, held: Entry) -> Response:
        """Answer with ``held``, and for a moment without trying again: nothing better can be had now."""
        now = self._wall()
        if now < held.soft_expiry:
            # Still fresh; an early refresh has found nothing, and the next is due when it expires.
            await self._memory.put(key, replace(held, compute_s=0.0))
            return held.response
        response = _stale(held.response)
        until = min(now + self._freshness.uncertified_ttl_s, held.hard_expiry)
        await self._memory.put(key, replace(held, response=response, soft_expiry=until, compute_s=0.0))
        return response

    async def _keep(self, key: bytes, response: Response, elapsed_s: float) -> None:
        now = self._wall()
        lifetime = self._freshness.lifetime(response.provenance, now)
        if lifetime is None:
            return
        entry = Entry.of(
            response,
            soft_expiry=lifetime.soft_expiry,
            hard_expiry=lifetime.hard_expiry,
            compute_s=self._freshness.compute_s(elapsed_s, lifetime, now),
        )
        await self._memory.put(key, entry)
        if self._remote is not None and lifetime.shared:
            await self._remote.put(key, entry)


def _stale(response: Response) -> Response:
    return replace(response, provenance=replace(response.provenance, stale=True))


_: type[Filter] = Cache
