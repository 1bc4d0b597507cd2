"""Which answer an operator asks about, and what the levels of this process hold of it.

A question goes the way of a request as far as the cache's look-up: the same tenant and residency, the same
route, version and key. It asks no model and no endpoint, and changes nothing: what is in memory gets no hit,
and only a level outside of the process counts that it was looked up.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from cache.features.enrichment import Enrichment
from cache.levels.level import Entry, Level
from cache.lookup import CacheLookup, is_long
from gateway.app.cache_layers import why_uncached
from gateway.app.generation import Generation, InForce
from gateway.app.parts import CacheParts
from gateway.core.address import canonical
from gateway.core.cache_inspection import (
    ABSENT,
    EXPIRED,
    FRESH,
    STALE,
    CacheQuestion,
    HeldAnswer,
    HeldOutput,
    Inspection,
    LevelFinding,
)
from gateway.core.catalog import unknown_model
from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError, printable
from gateway.core.offload import HERE_BYTES, Offload
from gateway.core.request import ANONYMOUS, SEQUENCE, Caller, Request
from gateway.core.stack import Stack
from gateway.wire.oip.inference import Inference
from gateway.wire.oip.json import decode_request
from gateway.wire.travelling import TravellingHeaders
from routing.caching import BypassRules
from routing.policy import Route
from routing.problem import unknown
from routing.version_split import VersionSplit

_NEEDS: Final = (
    'name a key ({"key": HEX}), or a request ({"model": NAME, "tenant": NAME, "request": {"inputs": [...]}})'
)
_A_STEP: Final = "a step of a sequence: its answer depends on the steps before"
_FORBIDDEN: Final = (
    "an endpoint of the route has answers of the model not kept (response_cache of its configuration)"
)


async def _completed(stack: Stack, request: Request) -> Request:
    """Return the request as its key is made of it: with the vectors that its entities have now."""
    filters = [each.filter for each in stack.layers if isinstance(each.filter, Enrichment)]
    return await filters[0].complete(request) if filters else request


@dataclass(frozen=True, slots=True)
class CacheInspector:
    """Answers questions about one answer. ``forwarded``: which headers go on to endpoints."""

    region: str
    in_force: InForce
    cache: CacheParts
    forwarded: TravellingHeaders
    offload: Offload
    clock: Clock

    async def __call__(self, question: CacheQuestion) -> Inspection:
        """Return what is known.

        Raises:
            GatewayError: INVALID, NOT_FOUND, TOO_LARGE: the question names nothing that there is.
        """
        if question.key:
            return await self._with_levels(Inspection(), bytes.fromhex(question.key))
        if not question.model or not question.body:
            raise GatewayError(Fault.INVALID, _NEEDS)
        generation = self.in_force.current()
        request = await self._request(question, generation)
        found, lookup, keyed = self._place(request, generation)
        if lookup is None:
            return found
        keyed = await _completed(generation.routes[found.route], keyed)
        end = lookup.hasher.begin(keyed)
        key = await asyncio.to_thread(end) if is_long(keyed) else end()
        return await self._with_levels(found, key)

    async def _request(self, question: CacheQuestion, generation: Generation) -> Request:
        caller = _caller(question, generation)
        inference = await self._inference(question.body, question.model)
        headers = [(name.lower(), value) for name, value in question.headers.items()]
        routed = tuple(sorted(pair for pair in headers if pair[0] in generation.routed_headers))
        return Request(
            question.model,
            inference.inputs,
            version=question.version,
            outputs=inference.outputs,
            parameters=inference.parameters,
            caller=caller,
            regions=caller.regions,
            headers=self.forwarded.forwarded(headers),
            routed=routed,
            classes=inference.output_format.classes,
            output_parameters=inference.output_format.parameters,
        )

    async def _inference(self, body: bytes, model: str) -> Inference:
        if len(body) <= HERE_BYTES:
            return decode_request(body, None, model=model)
        return await self.offload(decode_request, body, None)

    def _place(
        self, request: Request, generation: Generation
    ) -> tuple[Inspection, CacheLookup | None, Request]:
        """Return route and reasons; where a key can be made, also what makes it, and of which request."""
        assert generation.matching is not None, "an edge has a policy"
        route = generation.matching.choose(request)
        if route is None:
            raise unknown_model(request.model)
        stack = generation.routes[route.name]
        request = _with_version(stack, request)
        lookup = next((each.filter for each in stack.layers if isinstance(each.filter, CacheLookup)), None)
        caller = request.caller
        why = self._why_no_key(route, request, generation)
        reasons = (why,) if why else self._why_not_kept(route, request, generation)
        found = Inspection(
            route=route.name,
            model=request.model,
            version=request.version,
            tenant=caller.tenant,
            residency=caller.residency,
            scope=self.cache.settings.scope,
            reasons=reasons,
        )
        return found, None if why else lookup, request

    def _why_no_key(self, route: Route, request: Request, generation: Generation) -> str:
        """Return why this gateway makes no key of ``request``; empty: it does."""
        regions = request.caller.regions
        if regions is not None and self.region not in regions:
            return (
                f"region '{self.region}' may not see it (residency '{request.caller.residency}'): "
                f"it goes on to {', '.join(sorted(regions)) or 'nowhere'}, past this cache"
            )
        if SEQUENCE in request.parameters:
            return _A_STEP
        if route.cache.bypass and BypassRules(route.cache.bypass)(request):
            return f"one of the `cache: {{bypass: …}}` rules of route '{route.name}' takes it past the cache"
        edge = generation.edge_models.by_route.get(route.name)
        return why_uncached(route, edge if route.cascade else None, self.cache.levels)

    def _why_not_kept(self, route: Route, request: Request, generation: Generation) -> tuple[str, ...]:
        forbids = generation.endpoints.forbid_keeping(route.endpoints, request.model)
        return (_FORBIDDEN,) if forbids else ()

    async def _with_levels(self, found: Inspection, key: bytes) -> Inspection:
        near, *others = self.cache.levels
        now = self.clock.steady()
        levels = [_finding(near, near.stored(key), now)]
        levels += [_finding(level, await level.get(key), now) for level in others]
        return replace(found, key=key.hex(), levels=tuple(levels))


def _caller(question: CacheQuestion, generation: Generation) -> Caller:
    policy = generation.policy
    assert policy is not None, "an edge has a policy"
    tenant = question.tenant or ANONYMOUS
    if tenant not in policy.tenants:
        raise GatewayError(Fault.NOT_FOUND, unknown("tenant", printable(tenant), policy.tenants))
    # A place that narrows a class makes one of both: `a&b`.
    for name in (question.residency or "").split("&") if question.residency is not None else ():
        if name not in policy.residency:
            raise GatewayError(Fault.NOT_FOUND, unknown("residency", printable(name), policy.residency))
    address = canonical(question.client_address)
    if question.client_address and not address:
        named = printable(question.client_address)
        raise GatewayError(Fault.INVALID, f"client_address: '{named}' is no IP address")
    caller = generation.identify(Caller(address, tenant, vouched=True))
    return caller if question.residency is None else replace(caller, residency=question.residency)


def _with_version(stack: Stack, request: Request) -> Request:
    """Return the request as the split among versions passes it on, where the route has one."""
    split = next((each.filter for each in stack.layers if isinstance(each.filter, VersionSplit)), None)
    return request if split is None else split.versioned(request)


def _finding(level: Level, entry: Entry | None, now: float) -> LevelFinding:
    if entry is None:
        return LevelFinding(level.name, ABSENT, level_state=repr(level))
    state = FRESH if now < entry.soft_expiry else STALE if now < entry.hard_expiry else EXPIRED
    return LevelFinding(level.name, state, answer=_held(entry, now))


def _held(entry: Entry, now: float) -> HeldAnswer:
    response = entry.response
    provenance = response.provenance
    return HeldAnswer(
        fresh_s=round(entry.soft_expiry - now, 3),
        useful_s=round(entry.hard_expiry - now, 3),
        compute_ms=round(entry.compute_s * 1000, 3),
        size=entry.size,
        model=response.model,
        version=response.version,
        origin=provenance.origin,
        certified=provenance.certified,
        region=provenance.region,
        digest=provenance.digest,
        outputs=tuple(
            HeldOutput(output.name, output.datatype, output.shape, len(output.data))
            for output in response.outputs
        ),
    )
