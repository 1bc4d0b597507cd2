"""The look-up: a fresh answer in the first level is given without waiting for anything.

What the first level does not have goes on with its key: to ``SingleFlight``, where equal requests become
one, and from there to ``CacheFill``, which looks into the other levels and lets the rest of the stack answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from cache.early_refresh import EarlyRefreshes
from cache.freshness import Freshness, is_young, stale
from cache.key import RequestHasher
from cache.levels.level import Entry, NearLevel
from gateway.core.cache_control import CacheDirectives, not_cached
from gateway.core.cache_events import CacheLookedUp
from gateway.core.clock import Clock
from gateway.core.request import SEQUENCE, Request, Response
from gateway.core.service import FastPath, Filter, FindPath, PassesFastPath, Pending, Service
from gateway.core.telemetry import Telemetry
from gateway.core.tensor import Buffer

Forbids = Callable[[str], bool]
"""Whether answers of a model may not be kept, as far as that is known."""

LONG_BYTES: Final = 4 << 20
"""Of all inputs together: hashing these takes about 2 ms, on the event loop."""


class CacheLookup:
    """Answers from ``level``, the first of all levels, which outlives the stacks and is shared by them.

    One stack has a look-up with a hasher, a freshness and early refreshes of its own. Requests of a sequence
    pass it by, without a key: their answers depend on those before. ``forbids`` is called only where nothing
    fresh is held; what it forbids goes on without a key as well.
    """

    def __init__(
        self,
        level: NearLevel,
        *,
        hasher: RequestHasher,
        freshness: Freshness,
        refreshes: EarlyRefreshes,
        forbids: Forbids,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._level = level
        self._hasher = self.hasher = hasher
        """Makes the keys of this stack."""
        self._freshness = freshness
        self._refreshes = refreshes
        self._forbids = forbids
        self._steady = clock.steady
        self._emit = telemetry.emit
        self._peek = level.peek
        self._reach, self._longest_s = freshness.reach, freshness.longest_s
        # Events of every outcome are made once: a hit allocates nothing.
        self._hit = CacheLookedUp(level.name, "hit")
        self._early = CacheLookedUp(level.name, "early")
        self._stale = CacheLookedUp(level.name, "stale")
        self._miss = CacheLookedUp(level.name, "miss")
        self._revalidating = CacheLookedUp(level.name, "revalidating")

    def __repr__(self) -> str:
        return f"<CacheLookup {self._level}, {self._hasher}, {self._refreshes}>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Answer from the first level, else from ``service``, which gets the request's key."""
        if request.cache_control is not None:
            return self._find_as_wanted(request, request.cache_control, service)
        if request.parameters and SEQUENCE in request.parameters:
            return service(request)
        if is_long(request):
            return self._find_later(request, service)
        key = self._hasher(request)
        entry = self._peek(key)
        if entry is None:
            return service(request if self._forbids(request.model) else replace(request, key=key))
        now = self._steady()
        if now + entry.compute_s * self._reach < entry.soft_expiry <= now + self._longest_s:
            self._emit(self._hit)
            return entry.response
        entry = self._freshness.believed(entry, now)
        return self._near_expiry(entry, now, replace(request, key=key), service)

    def fast_path(self, like: Request, rest: FindPath) -> FastPath | None:  # noqa: ARG002 - it ends here
        """Return the path of answers that the level holds and that are far from their expiry."""
        if like.cache_control is not None or SEQUENCE in like.parameters or is_long(like):
            return None
        if not self._level.has_room:
            return None
        key_of, glance = self._hasher.keys(like), self._level.glance
        steady, reach, longest_s = self._steady, self._reach, self._longest_s
        emit, hit = self._emit, self._hit

        def answer(data: Sequence[Buffer]) -> Response | None:
            entry = glance(key_of(data))
            if entry is None:
                return None
            now = steady()
            if now + entry.compute_s * reach < entry.soft_expiry <= now + longest_s:
                emit(hit)
                return entry.response
            return None

        return answer

    async def _find_later(self, request: Request, service: Service) -> Response:
        """Do the same for a request whose key takes long to make; a thread makes it, without the lock."""
        key = await asyncio.to_thread(self._hasher.begin(request))
        entry, keyed = self._peek(key), replace(request, key=key)
        if entry is not None:
            now = self._steady()
            answered = self._near_expiry(self._freshness.believed(entry, now), now, keyed, service)
        else:
            answered = service(request if self._forbids(request.model) else keyed)
        return answered if isinstance(answered, Response) else await answered

    async def _find_as_wanted(self, request: Request, control: CacheDirectives, service: Service) -> Response:
        """Do what the client's Cache-Control has; RFC 9111, 5.2.1, and decision 0045.

        Raises:
            GatewayError: NOT_CACHED for a request that must not be computed, and what ``service`` raises.
        """
        if control.no_cache and control.only_if_cached:
            # Nothing that is held may answer, and nothing may be computed.
            raise not_cached()
        if control.no_store or SEQUENCE in request.parameters or self._forbids(request.model):
            if control.only_if_cached:
                raise not_cached()
            return await service(request)
        key = (
            await asyncio.to_thread(self._hasher.begin(request))
            if is_long(request)
            else self._hasher(request)
        )
        keyed = replace(request, key=key)
        entry = None if control.no_cache else self._peek(key)
        now = self._steady()
        if entry is None or not is_young(entry.response, control, now):
            return await service(keyed)
        entry = self._freshness.believed(entry, now)
        if now >= entry.soft_expiry:
            if control.refuses_stale or not self._freshness.may_revalidate(entry, now):
                self._emit(self._stale if now < entry.hard_expiry else self._miss)
                return await service(keyed)
            # It wants nothing to be computed, also not for others.
            self._emit(self._revalidating)
            return stale(entry.response)
        if control.only_if_cached:
            self._emit(self._hit)
            return entry.response
        answered = self._near_expiry(entry, now, keyed, service)
        return answered if isinstance(answered, Response) else await answered

    def _near_expiry(
        self, entry: Entry, now: float, request: Request, service: Service
    ) -> Response | Pending:
        if now >= entry.soft_expiry:
            if self._freshness.may_revalidate(entry, now):
                self._emit(self._revalidating)
                self._refreshes.start(request, service)
                return stale(entry.response)
            self._emit(self._stale if now < entry.hard_expiry else self._miss)
            return service(request)
        if self._freshness.is_due(entry, now):
            self._emit(self._early)
            self._refreshes.start(request, service)
        else:
            self._emit(self._hit)
        return entry.response


def is_long(request: Request) -> bool:
    """Whether the key of ``request`` takes so long to make that a thread should make it."""
    inputs = request.inputs
    # Most have one: it is looked at by itself, which every hit pays for.
    if len(inputs) == 1:
        return len(inputs[0].data) > LONG_BYTES
    return sum([len(tensor.data) for tensor in inputs]) > LONG_BYTES


_: tuple[type[Filter], type[PassesFastPath]] = (CacheLookup, CacheLookup)
