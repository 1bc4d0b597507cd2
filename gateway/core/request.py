"""The values that travel through a stack: Request in, Response out."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from gateway.core.cache_control import CacheDirectives
from gateway.core.tensor import NO_PARAMETERS as NO_PARAMETERS  # noqa: PLC0414 - they travel in both
from gateway.core.tensor import Parameter as Parameter  # noqa: PLC0414
from gateway.core.tensor import Tensor

ANONYMOUS: Final = "anonymous"

SEQUENCE: Final = "sequence_id"
"""The parameter of a request that is one step of a sequence. A model with state may answer it: such an answer
is never kept, and such a request never sent twice."""

SEQUENCE_START: Final = "sequence_start"
SEQUENCE_END: Final = "sequence_end"

PRIORITY: Final = "priority"
"""The parameter of a request that is to be served before others of its model, where that has priorities."""

IGNORED_PARAMETERS: Final = frozenset(
    {
        "timeout",
        PRIORITY,
        "binary_data_output",
        "triton_enable_empty_final_response",
    }
)
"""Request parameters that say how to schedule or how to render, never what to compute."""

NO_CLASSES: Final[Mapping[str, int]] = MappingProxyType({})

NO_OUTPUT_PARAMETERS: Final[Mapping[str, Mapping[str, Parameter]]] = MappingProxyType({})

EDGE: Final = "edge"
CENTRAL: Final = "central"
STALE: Final = "stale"
"""Where answers come from, in one word: the tiers, and a cache past an answer's expiry."""


class Caller(msgspec.Struct, frozen=True):
    """The client of a request, as far as it is known.

    ``address`` is the client's, after trusted proxies were peeled off. ``tenant`` is a claim until a
    generation has identified the caller (``NumberedService.identify``), by ``credential`` or by the peer's
    word. ``residency`` is the class that tenant and place give it: answers are shared within one class and
    never across two. ``regions`` are those that may see its requests; None: they are not fixed yet.
    """

    address: str = ""
    tenant: str = ANONYMOUS
    credential: str = ""
    vouched: bool = False
    """The peer that named the tenant is a trusted gateway."""
    residency: str = ""
    regions: frozenset[str] | None = None
    generation: int = 0
    """The policy generation that has identified it; 0: none has."""
    claimed: str = ""
    """The tenant whom a peer names that is not believed. It gives no rights; it keeps apart what belongs to
    tenants where nobody checks them."""

    @property
    def holder(self) -> str:
        """In whose name memory is booked: the tenant's; empty for those that are no tenant of their own."""
        return "" if self.tenant == ANONYMOUS else self.tenant

    def __repr__(self) -> str:
        # Never the credential: this ends up in logs.
        residency = f", residency {self.residency}" if self.residency else ""
        return f"<Caller {self.address or 'unknown'}, tenant {self.tenant}{residency}>"


class Request(msgspec.Struct, frozen=True):
    """One inference request.

    ``version`` empty means the version that the policy or the repository names. ``outputs`` empty
    means all outputs. ``deadline`` is loop time in seconds after which nobody waits for the answer.
    ``attempt`` is raised by Retry and Hedge and read by Router; ``tried`` names the members of endpoints at
    which earlier attempts have failed or are under way, each ENDPOINT/MEMBER. Where ``chosen`` is a list, the
    member that is chosen for this attempt is added to it. ``regions`` is the set that Residency
    fixed (None: not yet fixed); later layers may only narrow it. ``hops`` counts the gateways passed.
    ``trace`` holds the headers of its trace to pass on, and its id. ``headers``: those of the client's
    that the settings pass on to endpoints, in their order; what a model answers may depend on them.
    ``routed``: those by which the policy chooses routes, each once; they go nowhere.
    ``classes``: output → how many of its highest elements the client will be shown instead of it; answers
    hold the output itself nevertheless, but for one that is marked (``gateway.core.classes``).
    ``output_parameters``: requested output → what the client says of it to the server. ``key`` is set by the
    cache's look-up and read by the layers below: equal keys are equal requests. It is empty for requests that
    no cache may answer. ``per_try_timeout_s``: what the route grants each attempt; infinite: it does not say.
    ``panic``, set by Router: all members of the endpoint may get this attempt, those that are out too.
    ``cache_control``: what the client wants of the cache; None: it does not say.
    """

    model: str
    inputs: tuple[Tensor, ...]
    id: str = ""
    version: str = ""
    outputs: tuple[str, ...] = ()
    parameters: Mapping[str, Parameter] = NO_PARAMETERS
    caller: Caller = Caller()
    deadline: float = math.inf
    attempt: int = 0
    tried: tuple[str, ...] = ()
    chosen: list[str] | None = None
    regions: frozenset[str] | None = None
    hops: int = 0
    trace: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    routed: tuple[tuple[str, str], ...] = ()
    classes: Mapping[str, int] = NO_CLASSES
    output_parameters: Mapping[str, Mapping[str, Parameter]] = NO_OUTPUT_PARAMETERS
    key: bytes = b""
    per_try_timeout_s: float = math.inf
    panic: bool = False
    cache_control: CacheDirectives | None = None


class Provenance(msgspec.Struct, frozen=True):
    """Where an answer came from.

    ``origin``: the tier that computed it, ``edge`` or ``central``. ``certified``: the certificate's
    risk bound covers it (a central answer always is). ``level``: the cache level that held it, empty
    when it was computed for this request. ``stale``: served past its soft expiry because a fresh one
    could not be had. ``region``: where it was computed. ``digest``: of the artefact that computed it.
    """

    origin: str
    certified: bool = True
    level: str = ""
    stale: bool = False
    region: str = ""
    digest: str = ""

    @property
    def label(self) -> str:
        """One word for metrics: ``stale``, the cache level, or the origin."""
        return STALE if self.stale else self.level or self.origin


class CacheStatus(msgspec.Struct, frozen=True):
    """What the cache did for an answer, where the client may know.

    ``outcome``: hit, stale, miss, or bypass (it was not read, on account of the request or its route).
    ``level``: which one held it. ``age_s``: seconds since it was computed; None: not known, or just now.
    """

    outcome: str
    level: str = ""
    age_s: int | None = None


class Response(msgspec.Struct, frozen=True):
    """One answer. ``outputs`` are in the order of the model, or of the request where it names them.

    ``born``: steady seconds at which one that a cache held here was computed; 0: not known, or it was not
    held. ``cache_status``: what the client gets to know of the cache; None: nothing.

    Awaiting it gives it: a Service may return an answer that is there already (``gateway.core.service``).
    """

    model: str
    version: str
    outputs: tuple[Tensor, ...]
    provenance: Provenance
    parameters: Mapping[str, Parameter] = NO_PARAMETERS
    born: float = 0.0
    cache_status: CacheStatus | None = None

    def __await__(self) -> Generator[Any, Any, Response]:
        """Return the answer at once."""
        yield from ()
        return self
