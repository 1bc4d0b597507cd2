"""The policy: what ops edit, the same file in every region, as frozen typed values.

Shapes and ranges are checked here, while decoding; what the names mean to each other is checked by
``routing.lint``. All mappings keep the order of the file.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from gateway.core.retry_conditions import RetryCondition
from routing.caching import RouteCache
from routing.endpoint import DAY_MS
from routing.endpoint import Endpoint as Endpoint  # noqa: PLC0414 - a part of the policy
from routing.hedging import RouteHedge
from routing.locality import SHORT, Locality, Location, Mode
from routing.match import ANY as ANY  # noqa: PLC0414
from routing.match import INPUT, Names, StickyBy, Version
from routing.match import Match as Match  # noqa: PLC0414
from routing.networks import Networks
from routing.shadow import Shadow

EDGE: Final = "edge"
SERVE_EDGE: Final = "serve_edge"

KeyHash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Digest = Annotated[str, msgspec.Meta(pattern=r"^(sha256:[0-9a-f]{64})?\Z")]
NamedDigest = Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")]
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
MAX_ROUTES: Final = 3_000


class Region(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A place with a gateway.

    ``serves``: the codes (see ``routing.place``) of the clients who are at home here. It tells
    clients and tools which gateway to call; the gateways themselves never turn a client away for it.
    ``location``: where it is, absent: not known. ``labels``: what ``locality.failover_priority`` compares
    with those of endpoints; an endpoint without a label has that of its region.
    """

    serves: tuple[str, ...] = ()
    location: Location | None = None
    labels: dict[str, str] = {}


class ResidencyClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who may see a request. ``regions``: those that may; ``"*"`` is all regions of the policy."""

    regions: Names


class Tenant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who asks. ``residency``: its class. ``keys_sha256``: SHA-256 of each of its keys, in lower-case hex."""

    residency: str
    keys_sha256: tuple[KeyHash, ...] = ()


class RouteCascade(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The edge model comes first. ``on_central_down``: let it answer uncertified, or fail."""

    on_central_down: Literal["serve_edge", "fail"] = SERVE_EDGE


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """What happens to the requests that ``match``; the first route that does is the one.

    ``name``: what logs and metrics call it. ``match``: which requests. ``sticky_by``: what keeps a request
    on its side of a percentage: its ``input``, its ``tenant`` or a ``header:NAME``; a sequence stays together
    by its id. ``versions``: version of the model → percent of the requests that name none; absent, endpoints
    choose. ``version_override``: tenants who may choose one of them by the header x-edgeway-version.
    ``cache``: of its answers.
    ``digest``: of the central artefact, or a list of those that replicas of the central tier serve beside
    each other. Cache keys and the certificate of a cascade name it: without
    it no answer of the route is cached, not even the edge's, and a cascade defers everything.
    ``timeout_ms``: for the whole request, retries included; absent, each gateway's own settings hold.
    ``num_retries``: attempts after the first; absent, likewise. ``cascade``: absent, the route has no
    edge model; present, ``match`` names one model in full. ``shadow``: copies of its requests, after they are
    answered, for another version or other endpoints; absent, none. ``endpoints``: names, in order of
    preference among those that are equally far away.
    """

    name: str
    match: Match = Match()
    sticky_by: StickyBy = INPUT
    versions: Annotated[dict[Version, Percent], msgspec.Meta(max_length=16)] = {}
    version_override: tuple[str, ...] = ()
    digest: Digest | Annotated[tuple[NamedDigest, ...], msgspec.Meta(min_length=1, max_length=16)] = ""
    timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=DAY_MS)] | None = None
    per_try_timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=DAY_MS)] | None = None
    """For each attempt, within ``attempt_timeout_ms`` of its endpoint; absent: as each gateway's settings
    have it. An attempt that takes longer counts against the endpoint; another follows as ``retry_on`` has
    it."""

    num_retries: Annotated[int, msgspec.Meta(ge=0, le=5)] | None = None
    retry_on: Annotated[tuple[RetryCondition, ...], msgspec.Meta(min_length=1, max_length=8)] | None = None
    """The failures that another attempt follows; absent: as each gateway's settings have it,
    ``gateway_error`` and ``resource_exhausted``. Without a connection it is a ``connect_failure``, without
    an answer, whatever the reason, a ``reset``. A ``gateway_error`` is one of these, 502, 503, 504, or no
    answer of the model; ``5xx`` adds ``internal``, a 500. By codes of gRPC it is ``unavailable``,
    ``deadline_exceeded`` or ``resource_exhausted`` (429). What could not be sent is tried elsewhere in any
    case; a step of a sequence, or a caller's mistake, never is."""

    hedge: RouteHedge | None = None
    """A further attempt beside one that is slow; absent, there is none."""

    cache: RouteCache = RouteCache()
    cascade: RouteCascade | None = None
    shadow: Shadow | None = None
    endpoints: tuple[str, ...] = ()

    @property
    def digests(self) -> tuple[str, ...]:
        """The central artefacts, in the order of the policy; empty: it names none."""
        if isinstance(self.digest, str):
            return (self.digest,) if self.digest else ()
        return self.digest


class Defaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What routes and endpoints have that do not name it themselves (``routing.defaults``).

    ``routes``: keys of a route, but ``name``, ``match``, ``versions``, ``version_override``, ``digest`` and
    ``endpoints``. A route that names one of them has its own, as a whole: blocks are not merged. With null it
    is as if there were no defaults. ``endpoints``: likewise the keys of an endpoint that say how it is
    reached and watched: ``credential``, ``tls``, ``load_balancing``, ``health_check``, ``outlier_detection``,
    ``max_concurrency`` and ``attempt_timeout_ms``.
    """

    routes: dict[str, Any] = {}
    endpoints: dict[str, Any] = {}


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file.

    ``generation``: a number that only grows. ``tenants``: by name; ``anonymous`` are those who show no key.
    ``residency``: class name → regions. ``places``: code of a country or
    continent → class; it may only narrow what the tenant's class allows. ``networks``: network, as
    10.0.0.0/8 → the place of its clients, or that and more: it goes before the geo database, and the
    smallest network that has an address decides. ``failover``: region →
    the regions in which its gateway looks elsewhere, nearest first. ``locality``: which endpoints are
    preferred: a mode alone, or all that can be said of it. ``defaults``: what routes and endpoints inherit.
    """

    generation: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    regions: Annotated[dict[str, Region], msgspec.Meta(min_length=1)]
    residency: Annotated[dict[str, ResidencyClass], msgspec.Meta(min_length=1)]
    tenants: Annotated[dict[str, Tenant], msgspec.Meta(min_length=1)]
    routes: Annotated[tuple[Route, ...], msgspec.Meta(min_length=1, max_length=MAX_ROUTES)]
    endpoints: dict[str, Endpoint] = {}
    places: dict[str, str] = {}
    networks: Networks = {}
    failover: dict[str, tuple[str, ...]] = {}
    locality: Mode | Locality = Locality()
    defaults: Defaults = Defaults()

    @property
    def preference(self) -> Locality:
        """Which endpoints are preferred, in full."""
        return SHORT[self.locality] if isinstance(self.locality, str) else self.locality
