"""Inputs that name entities are completed with vectors from online stores, before anything else is done.

It stands above the cache: vectors are inputs like any other, and so part of the key. An answer that was kept
is found again only for the very vectors that it was computed from, and no answer outlives a feature. While
vectors are in memory it answers without waiting, and has a part in fast paths.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from cache.features.filling import VectorSource
from cache.features.loader import LoadedVector
from cache.features.vectors import FLOAT_BYTES
from gateway.core.errors import Fault, GatewayError
from gateway.core.feature_events import FeaturesFilled
from gateway.core.features import DEFAULTED, OUTDATED
from gateway.core.request import Request, Response
from gateway.core.service import FastPath, Filter, FindPath, PassesFastPath, Pending, Service
from gateway.core.telemetry import Telemetry
from gateway.core.tensor import Buffer, Tensor

VectorSources = Mapping[str, tuple[VectorSource, ...]]
"""Model → where its filled inputs come from."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What one input of a request is filled from. ``names``: of the entities in the key, in their order."""

    source: VectorSource
    key: Tensor
    place: int
    names: list[bytes]


class Enrichment:
    """Fills the inputs of the models in ``sources``; requests for others pass unchanged.

    A request that another gateway has forwarded may have been completed there: it passes as well. A client's
    must not bring the inputs that are filled.
    """

    def __init__(self, sources: VectorSources, telemetry: Telemetry) -> None:
        self._sources = sources
        self._emit = telemetry.emit

    def __repr__(self) -> str:
        filled = (f"{model}.{each.entry.input}" for model, every in self._sources.items() for each in every)
        loaders = {each.loader.name: repr(each.loader) for every in self._sources.values() for each in every}
        return f"<Enrichment of {', '.join(filled)} by {', '.join(loaders.values())}>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Answer the request, completed, by ``service``.

        Raises:
            GatewayError: INVALID, TOO_LARGE for keys that cannot be used; UNAVAILABLE where vectors cannot be
                had and there is no default.
        """
        sources = self._sources.get(request.model)
        if sources is None or _is_completed(request, sources):
            return service(request)
        wanted = _wanted(request, sources)
        filled: list[Tensor] = []
        for each in wanted:
            data = _glance(each) if each.source.allows(request.regions) else None
            if data is None:
                return self._fetch(request, wanted, service)
            filled.append(each.source.tensor(each.key.shape, data))
        for each in wanted:
            each.source.loader.count_hits(len(each.names))
        return service(_completed(request, wanted, filled))

    def fast_path(self, like: Request, rest: FindPath) -> FastPath | None:
        """Return the path of the rest for completed requests, which is taken while all vectors are fresh.

        Raises:
            GatewayError: as the call would.
        """
        sources = self._sources.get(like.model)
        if sources is None or _is_completed(like, sources):
            return rest(like)
        wanted = _wanted(like, sources)
        if not all(each.source.allows(like.regions) for each in wanted):
            return None
        zeros = [
            each.source.tensor(
                each.key.shape, bytes(len(each.names) * each.source.entry.elements * FLOAT_BYTES)
            )
            for each in wanted
        ]
        path = rest(_completed(like, wanted, zeros))
        return None if path is None else _path(like, wanted, path)

    async def complete(self, request: Request) -> Request:
        """Return the request as the rest of the stack gets it; ``Request.features`` says what it lacks.

        Raises:
            GatewayError: as the call would.
        """
        sources = self._sources.get(request.model)
        if sources is None or _is_completed(request, sources):
            return request
        return await self._complete(request, _wanted(request, sources))

    async def _fetch(self, request: Request, wanted: Sequence[_Wanted], service: Service) -> Response:
        completed = await self._complete(request, wanted)
        response = await service(completed)
        if not completed.features:
            return response
        return replace(response, provenance=replace(response.provenance, features=completed.features))

    async def _complete(self, request: Request, wanted: Sequence[_Wanted]) -> Request:
        """Complete the request with what the stores give."""
        found = await _load(wanted, request.regions)
        filled: list[Tensor] = []
        lacking = ""
        for each, vectors in zip(wanted, found, strict=True):
            data, lacks = self._fill(each, vectors)
            filled.append(each.source.tensor(each.key.shape, data))
            lacking = DEFAULTED if DEFAULTED in {lacking, lacks} else lacking or lacks
        completed = _completed(request, wanted, filled)
        return replace(completed, features=lacking) if lacking else completed

    def _fill(self, each: _Wanted, vectors: Mapping[bytes, LoadedVector] | None) -> tuple[bytes, str]:
        source = each.source
        try:
            if vectors is None:
                data, lacks = source.defaults(len(each.names)), DEFAULTED
            else:
                data, lacks = source.fill(each.names, vectors)
        except GatewayError as error:
            if error.fault is Fault.UNAVAILABLE:
                self._emit(FeaturesFilled(source.loader.name, "refused"))
            raise
        if lacks:
            self._emit(FeaturesFilled(source.loader.name, "stale" if lacks == OUTDATED else "default"))
        return data, lacks


async def _load(
    wanted: Sequence[_Wanted], regions: frozenset[str] | None
) -> list[Mapping[bytes, LoadedVector] | None]:
    """Return what each store has; None: it may not be asked."""

    async def load(each: _Wanted) -> Mapping[bytes, LoadedVector] | None:
        return await each.source.loader.load(each.names) if each.source.allows(regions) else None

    if len(wanted) == 1:
        return [await load(wanted[0])]
    return list(await asyncio.gather(*map(load, wanted)))


def _is_completed(request: Request, sources: Sequence[VectorSource]) -> bool:
    if not request.hops:
        return False
    names = {tensor.name for tensor in request.inputs}
    return all(source.entry.input in names for source in sources)


def _wanted(request: Request, sources: Sequence[VectorSource]) -> list[_Wanted]:
    places = {tensor.name: place for place, tensor in enumerate(request.inputs)}
    wanted: list[_Wanted] = []
    for source in sources:
        entry = source.entry
        if entry.input in places:
            raise GatewayError(
                Fault.INVALID,
                f"unexpected inference input '{entry.input}' for model '{request.model}': the gateway "
                f"fills it from the entities in '{entry.key}'",
            )
        place = places.get(entry.key)
        if place is None:
            raise GatewayError(
                Fault.INVALID,
                f"missing required input '{entry.key}' for model '{request.model}': it names the "
                f"entities whose vectors become '{entry.input}', as {entry.datatype} of shape [n, 1]",
            )
        key = request.inputs[place]
        wanted.append(_Wanted(source, key, place, source.names(key, request.caller)))
    return wanted


def _glance(each: _Wanted) -> bytes | None:
    vectors = each.source.loader.glance(each.names)
    return None if vectors is None else each.source.put_together(vectors)


def _completed(request: Request, wanted: Sequence[_Wanted], filled: Sequence[Tensor]) -> Request:
    consumed = _consumed(wanted)
    kept = [tensor for place, tensor in enumerate(request.inputs) if place not in consumed]
    return replace(request, inputs=(*kept, *filled))


def _consumed(wanted: Sequence[_Wanted]) -> set[int]:
    return {each.place for each in wanted if not each.source.entry.pass_on}


def _path(like: Request, wanted: Sequence[_Wanted], rest: FastPath) -> FastPath:
    consumed = _consumed(wanted)
    kept = [place for place in range(len(like.inputs)) if place not in consumed]
    find = [_finder(each, like) for each in wanted]

    def answer(data: Sequence[Buffer]) -> Response | None:
        filled: list[Buffer] = []
        counts: list[tuple[Callable[[int], None], int]] = []
        for names_of, source in find:
            try:
                names = names_of(data)
            except GatewayError:
                return None
            vectors = source.loader.glance(names)
            put_together = None if vectors is None else source.put_together(vectors)
            if put_together is None:
                return None
            filled.append(put_together)
            counts.append((source.loader.count_hits, len(names)))
        response = rest([*[data[place] for place in kept], *filled])
        if response is not None:
            for count, number in counts:
                count(number)
        return response

    return answer


def _finder(each: _Wanted, like: Request) -> tuple[Callable[[Sequence[Buffer]], list[bytes]], VectorSource]:
    # The data of ``like`` must not stay in memory for as long as the path does.
    place, source, caller = each.place, each.source, like.caller
    name, datatype, shape = each.key.name, each.key.datatype, each.key.shape

    def names_of(data: Sequence[Buffer]) -> list[bytes]:
        return source.names(Tensor(name, datatype, shape, data[place]), caller)

    return names_of, source


_: tuple[type[Filter], type[PassesFastPath]] = (Enrichment, Enrichment)
