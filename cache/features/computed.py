"""What backbones compute, kept by content: a new head, or version, on a backbone finds all that it has made.

The key is the keyed hash that answers have (``cache.key``), of the backbone's digest, what runs it, the class
of instruction set, the tenant or residency class, and of the inputs that the backbone takes: their names,
datatypes, shapes and bytes. What a request wants of the head is not in it. A request of several rows is
looked up row by row, so that rows are found in whatever company they come; those that nobody holds run as
one.

Nothing is ever stale: a key's features do not change. A purge of a model, or a tenant, still reaches
what was computed for it (``Epochs``): its key is another one from then on. What Redis gives is compared with
what the backbone makes before it is believed; what does not fit is computed again, and written over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from blake3 import blake3
from msgspec.structs import replace

from cache.invalidation.epochs import Epochs
from cache.key import RequestHasher
from cache.levels.level import Entry, Level, Levels
from cache.single_flight import SingleFlight
from gateway.core.answer_check import flaw
from gateway.core.cache_events import CacheLookedUp
from gateway.core.cache_levels import L3
from gateway.core.catalog import ModelSpec
from gateway.core.clock import Clock
from gateway.core.feature_store import Backbone, Compute, Features, FeatureStore, FoundFeatures
from gateway.core.request import EDGE, Caller, Provenance, Request, Response
from gateway.core.telemetry import Telemetry
from gateway.core.tensor import Tensor

_MODEL: Final = "features"
_LONG_BYTES: Final = 1 << 20
"""Of inputs: hashing these takes about half a millisecond, on the event loop."""
_MOST_HASHERS: Final = 256
_SLACK_S: Final = 60.0
"""By which clocks of gateways may differ."""


@dataclass(frozen=True, slots=True)
class FeatureScope:
    """Who shares features: ``per_tenant``, else the residency class; with one ``instruction_set``."""

    per_tenant: bool
    instruction_set: str


class ComputedFeatures:
    """Finds features in ``levels``, which the caller closes, or has them computed.

    ``secret``: 32 bytes that key the hashes. ``ttl_s``: for how long they are kept. ``epochs``: what was
    invalidated; a purge of a tag is of answers, and features are of no route.
    """

    def __init__(
        self,
        levels: Levels,
        *,
        secret: bytes,
        scope: FeatureScope,
        ttl_s: float,
        clock: Clock,
        telemetry: Telemetry,
        epochs: Epochs | None = None,
    ) -> None:
        self._epochs = epochs or Epochs("")
        self._near, self._far = levels[0], levels[1:]
        self._levels = levels
        self._secret = secret
        self._scope = scope
        self._ttl_s = ttl_s
        self._clock = clock
        self._emit = telemetry.emit
        self._hit = CacheLookedUp(self._near.name, "hit")
        self._stale = CacheLookedUp(self._near.name, "stale")
        self._hashers: dict[tuple[str, ...], RequestHasher] = {}
        self._flight = SingleFlight(clock, telemetry)

    def __repr__(self) -> str:
        return f"<ComputedFeatures {' > '.join(map(repr, self._levels))}, {self._flight}>"

    async def find(
        self, request: Request, backbone: Backbone, parts: Sequence[Sequence[Tensor]], compute: Compute
    ) -> FoundFeatures:
        """Return the features of ``parts``; see ``gateway.core.feature_store.FeatureStore``."""
        keys = await self._keys(request, backbone, parts)
        now = self._clock.steady()
        found: dict[int, Features] = {}
        missing: list[int] = []
        for place, key in enumerate(keys):
            entry = self._near.peek(key)
            if entry is None:
                missing.append(place)
            elif now < entry.hard_expiry:
                self._emit(self._hit)
                found[place] = entry.response.outputs
            else:
                self._emit(self._stale)
                missing.append(place)
        if not missing:
            return FoundFeatures([found[place] for place in range(len(keys))], L3)
        wanted = _Wanted(
            backbone, [keys[place] for place in missing], [_rows(parts[each]) for each in missing]
        )
        fill = partial(self._fill, wanted=wanted, places=missing, compute=compute)
        flight = replace(request, key=_joint(wanted.keys), inputs=())
        made = await self._flight(flight, fill)
        size = len(backbone.outputs)
        found.update(
            (place, made.outputs[nth * size : (nth + 1) * size]) for nth, place in enumerate(missing)
        )
        return FoundFeatures([found[place] for place in range(len(keys))], made.provenance.level)

    async def aclose(self) -> None:
        """Cancel what no caller waits for any more. The levels stay open."""
        await self._flight.aclose()

    async def _keys(
        self, request: Request, backbone: Backbone, parts: Sequence[Sequence[Tensor]]
    ) -> list[bytes]:
        hasher = self._hasher(backbone, request)
        caller = Caller(tenant=request.caller.tenant, residency=request.caller.residency)
        alike = [Request(_MODEL, tuple(part), caller=caller) for part in parts]
        if sum(len(tensor.data) for part in parts for tensor in part) <= _LONG_BYTES:
            return [hasher(each) for each in alike]
        ends = [hasher.begin(each) for each in alike]
        return await asyncio.to_thread(lambda: [end() for end in ends])

    def _hasher(self, backbone: Backbone, request: Request) -> RequestHasher:
        identity: tuple[str, ...] = (backbone.digest, backbone.runtime)
        if self._epochs.version:
            tenant = request.caller.tenant if self._scope.per_tenant else None
            # Of the request's model: the keys themselves name none, so that models share a backbone.
            marks = self._epochs.marks(request.model, tenant, ())
            identity = (*identity, repr(marks)) if marks else identity
        hasher = self._hashers.get(identity)
        if hasher is None:
            if len(self._hashers) >= _MOST_HASHERS:
                self._hashers.clear()
            hasher = self._hashers[identity] = RequestHasher(
                self._secret,
                identity="+".join(identity),
                instruction_set=self._scope.instruction_set,
                per_tenant=self._scope.per_tenant,
            )
        return hasher

    async def _fill(
        self, _request: Request, *, wanted: _Wanted, places: Sequence[int], compute: Compute
    ) -> Response:
        """Return the features that are ``wanted``, one part after the other, and keep what was not held.

        ``places``: of the wanted parts, as ``compute`` has them.
        """
        found = dict(await self._find_far(wanted))
        absent = [nth for nth in range(len(wanted.keys)) if nth not in found]
        if absent:
            made = await compute([places[nth] for nth in absent])
            for nth, features in zip(absent, made, strict=True):
                found[nth] = await self._keep(wanted, nth, features)
        outputs = tuple(tensor for nth in range(len(wanted.keys)) for tensor in found[nth])
        return Response(_MODEL, "", outputs, Provenance(EDGE, level="" if absent else L3))

    async def _find_far(self, wanted: _Wanted) -> list[tuple[int, Features]]:
        found: dict[int, Features] = {}
        for level in self._far:
            left = [nth for nth in range(len(wanted.keys)) if nth not in found]
            entries = await asyncio.gather(*(level.get(wanted.keys[nth]) for nth in left))
            for nth, entry in zip(left, entries, strict=True):
                if entry is not None and self._is_believed(entry, wanted, nth, level):
                    await self._near.put(wanted.keys[nth], entry)
                    found[nth] = entry.response.outputs
        return list(found.items())

    def _is_believed(self, entry: Entry, wanted: _Wanted, nth: int, level: Level) -> bool:
        now = self._clock.steady()
        # Whoever says that it lives longer than we would keep it has another clock, or other settings.
        if not now < entry.hard_expiry <= now + self._ttl_s + _SLACK_S:
            self._emit(CacheLookedUp(level.name, "stale"))
            return False
        is_ours = wanted.fits(entry.response, nth)
        self._emit(CacheLookedUp(level.name, "hit" if is_ours else "garbage"))
        return is_ours

    async def _keep(self, wanted: _Wanted, nth: int, features: Features) -> Features:
        now = self._clock.steady()
        entry = Entry.of(
            Response(_MODEL, "", features, Provenance(EDGE, digest=wanted.backbone.digest)),
            soft_expiry=now + self._ttl_s,
            hard_expiry=now + self._ttl_s,
            compute_s=0.0,
        )
        if wanted.fits(entry.response, nth):
            for level in self._levels:
                await level.put(wanted.keys[nth], entry)
        return features


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Parts whose features are not held near: their keys, and how many rows each has."""

    backbone: Backbone
    keys: Sequence[bytes]
    rows: Sequence[int]

    def fits(self, response: Response, nth: int) -> bool:
        """Whether ``response`` holds what the backbone makes of the part ``nth``."""
        backbone = self.backbone
        names = [output.name for output in response.outputs]
        if names != [spec.name for spec in backbone.outputs] or response.provenance.digest != backbone.digest:
            return False
        if flaw(response, ModelSpec(_MODEL, (), "", (), backbone.outputs), selected=False):
            return False
        return not backbone.is_batched or all(
            output.shape[:1] == (self.rows[nth],) for output in response.outputs
        )


def _rows(part: Sequence[Tensor]) -> int:
    return part[0].shape[0] if part and part[0].shape else 1


def _joint(keys: Sequence[bytes]) -> bytes:
    return keys[0] if len(keys) == 1 else blake3(b"".join(keys)).digest()


_: type[FeatureStore] = ComputedFeatures
