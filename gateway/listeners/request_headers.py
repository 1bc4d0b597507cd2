"""The request headers that matter to every protocol family, read in one pass with those of the family."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec.structs import replace

from gateway.core.catalog import VisibleModels
from gateway.core.errors import Fault, GatewayError
from gateway.core.partitions import Partition
from gateway.core.request import Caller
from gateway.core.service import NumberedService
from gateway.http.exchange import Answer, AnyAnswer, Head
from gateway.listeners.data_plane import DataPlane
from gateway.listeners.refusals import RefusalCounter
from gateway.wire import headers
from gateway.wire.trace_context import REQUEST_ID, Pairs, combined, taken_request_id
from gateway.wire.trust import Claims, TrustedClaims

_READ: Final = (
    headers.AUTHORIZATION,
    headers.TENANT,
    headers.HOPS,
    headers.REGIONS,
    headers.TIMEOUT_MS,
    headers.FORWARDED_FOR,
    "content-encoding",
    "accept-encoding",
    headers.CACHE_CONTROL,
)
_JOINED: Final = frozenset(map(_READ.index, (headers.FORWARDED_FOR, headers.CACHE_CONTROL)))
"""Places of headers whose several lines are one list."""

_LISTS: Final = frozenset({"accept-encoding", "grpc-accept-encoding"})
"""Headers that may come in several lines; the first of these counts."""

_CONTEXT: Final = -1
"""The place of headers that travel along with a request: there may be several lines of them."""

_CLAIMED: Final = "claimed headers"
_IDENTIFIED: Final = "request headers"
_TENANT, _CREDENTIAL, _REGIONS = 2, 3, 5
_REMEMBERED: Final = 1024
_LONGEST: Final = 320
_LONGEST_ROUTED: Final = 256
"""Characters of a header that chooses a route."""

_Identity = tuple[Caller, int, frozenset[str] | None, Partition | None]
"""The first fields of RequestHeaders."""


class RequestHeaders(msgspec.Struct, frozen=True):
    """The values of the headers; None where there is none.

    ``hops``, ``trace``, ``routed`` and ``forwarded`` as Request has them, the last as its ``headers``.

    ``caller`` and ``regions`` are claims until the caller is identified; then ``regions`` are those that may
    see the request. ``partition``: among whose requests this one may be remembered; None: this region may
    keep nothing of it, or nobody knows yet.

    A protocol family that reads more headers adds a field for each (see ``RequestHeaderReader``).
    """

    caller: Caller
    hops: int
    regions: frozenset[str] | None
    partition: Partition | None
    trace: Pairs
    forwarded: Pairs
    routed: Pairs
    timeout_ms: str | None
    content_encoding: str | None
    accept_encoding: str | None
    cache_control: str | None


H = TypeVar("H", bound=RequestHeaders)
A = TypeVar("A", Answer, AnyAnswer)


class RequestHeaderReader(Generic[H]):
    """Reads heads, and has their callers identified.

    ``identify`` is for everything that a key is needed for where inferring needs one: it looks at nothing but
    the head, so that it can be called before the body is read. ``read`` is for the rest.

    Args:
        data_plane: its ``trust`` decides which claims of a peer are believed.
        refusals: counts heads that cannot be read.
        kind: what is made of a head.
        names: the headers, in small letters, that fill the fields which ``kind`` adds, in their order;
            fields beyond them keep their defaults. None may be given twice that is not in ``_LISTS``.
    """

    def __init__(
        self,
        data_plane: DataPlane,
        refusals: RefusalCounter,
        kind: Callable[..., H],
        names: Sequence[str] = (),
    ) -> None:
        self._data_plane, self._refusals, self._kind = data_plane, refusals, kind
        read = (*_READ, *names)
        self._travelling = data_plane.travelling
        self._places = dict.fromkeys(self._travelling.context, _CONTEXT)
        self._places |= {name: place for place, name in enumerate(read)}
        self._absent: list[str | None] = [None] * len(read)
        self._identities: dict[tuple[str, ...], _Identity] = {}
        self._serial = -1

    def __repr__(self) -> str:
        return f"<RequestHeaderReader of {len(self._places)} headers, {self._data_plane.trust!r}>"

    def read(self, head: Head) -> H:
        """Read a head, once; its caller is whom it claims to be.

        Raises:
            GatewayError: INVALID for a header that is given more than once and must not be: a proxy that
                appends instead of replacing would let its clients choose; else as Trust has it.
        """
        known: H | None = head.notes.get(_CLAIMED)
        if known is not None:
            return known
        with self._refusals:
            claims, rest = self._split(head, frozenset())
            believed = self._check(claims)
        read = head.notes[_CLAIMED] = self._kind(
            believed.caller, believed.hops, believed.regions, None, *rest
        )
        return read

    def identify(self, head: Head, generation: NumberedService, model: str = "", version: str = "") -> H:
        """Read a head, and have its caller identified by ``generation``; once for each.

        ``model`` and ``version`` are those that a refusal is counted for, as far as the head names them.

        Raises:
            GatewayError: as ``read`` and ``NumberedService.identify`` have it.
        """
        serial = generation.serial
        known: tuple[int, H] | None = head.notes.get(_IDENTIFIED)
        if known is not None and known[0] == serial:
            return known[1]
        with self._refusals:
            claims, rest = self._split(head, generation.routed_headers)
        if serial != self._serial:
            self._serial = serial
            self._identities.clear()
        identity = self._identities.get(claims) or self._identify(claims, generation, model, version)
        identified = self._kind(*identity, *rest)
        head.notes[_IDENTIFIED] = (serial, identified)
        return identified

    def models(
        self, head: Head, generation: NumberedService, model: str = "", version: str = ""
    ) -> VisibleModels:
        """Return the models that the caller may use.

        Raises:
            GatewayError: as ``identify`` has it.
        """
        caller = self.identify(head, generation, model, version).caller
        return self._data_plane.catalogs.of(caller)

    def _identify(
        self, claims: tuple[str, ...], generation: NumberedService, model: str, version: str
    ) -> _Identity:
        with self._refusals:
            believed = self._check(claims)
        data_plane = self._data_plane
        try:
            caller = generation.identify(believed.caller)
        except GatewayError as error:
            data_plane.count_refusal(error.fault, error.fault, model, version)
            raise
        regions = caller.regions
        if regions is None:
            regions = believed.regions
        elif believed.regions is not None:
            regions &= believed.regions
        stays = regions is None or data_plane.region in regions
        partition = None
        if stays and caller.generation:
            partition = Partition(caller.generation, caller.tenant, caller.residency)
        elif stays:
            # Without a policy nobody is checked, but requests of different tenants and classes are told
            # apart all the same: behind a gateway, one must not feel what another has sent.
            partition = Partition(generation.serial, claims[_TENANT] or caller.tenant, claims[_REGIONS])
        identity = (caller, believed.hops, regions, partition)
        # Callers without a credential repeat in new heads. A flood of others costs them a second look.
        if not claims[_CREDENTIAL] and sum(map(len, claims)) <= _LONGEST:
            if len(self._identities) >= _REMEMBERED:
                self._identities.clear()
            self._identities[claims] = identity
        return identity

    def _split(self, head: Head, routed: frozenset[str]) -> tuple[tuple[str, ...], list[Any]]:
        """Return what a head claims about its caller, the peer first, and the values of the other fields.

        ``routed``: the headers that choose routes.
        """
        values, context = self._absent.copy(), []
        places = self._places
        for name, value in head.headers:
            place = places.get(name)
            if place is None:
                continue
            if place == _CONTEXT:
                context.append((name, value))
            elif values[place] is None:
                values[place] = value
            elif place in _JOINED:
                values[place] = f"{values[place]},{value}"
            elif name not in _LISTS:
                raise GatewayError(Fault.INVALID, f"the header {name} is given more than once")
        credential, tenant, hops, regions, timeout_ms, forwarded, *rest = values
        trace = combined(context) if context else ()
        travelling = self._travelling
        custom = travelling.forwarded(head.headers) if travelling.has_forwarded else ()
        claims = (head.peer, forwarded or "", tenant or "", credential or "", hops or "", regions or "")
        chosen_by = _routed(head.headers, routed) if routed else ()
        return claims, [trace, custom, chosen_by, timeout_ms, *rest]

    def _check(self, claims: tuple[str, ...]) -> TrustedClaims:
        peer, *others = claims
        if "," in claims[_TENANT]:
            # A proxy may have joined two lines by a comma.
            raise GatewayError(Fault.INVALID, f"the header {headers.TENANT} is given more than once")
        return self._data_plane.trust.check(peer, Claims(*others))


def _routed(found: Iterable[tuple[str, str]], names: frozenset[str]) -> Pairs:
    """Return the headers ``names``, each once; a value that is too long is none."""
    kept: dict[str, str] = {}
    for name, value in found:
        if name in names:
            kept[name] = f"{kept[name]},{value}" if name in kept else value
    return tuple(sorted(pair for pair in kept.items() if len(pair[1]) <= _LONGEST_ROUTED))


def given_request_id(head: Head) -> str:
    """Return the id that the client has given a request; empty without one that can be taken."""
    return taken_request_id([value for name, value in head.headers if name == REQUEST_ID])


def with_request_id(answer: A, request_id: str) -> A:
    """Return the answer to the request with this id; where it is empty, the connection makes one."""
    return replace(answer, request_id=request_id.encode()) if request_id else answer
