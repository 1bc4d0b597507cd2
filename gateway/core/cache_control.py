"""What a client wants of the cache for one request: directives of its Cache-Control (RFC 9111)."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from gateway.core.errors import Fault, GatewayError


class CacheDirectives(msgspec.Struct, frozen=True):
    """The directives in force for a request that has any.

    ``no_cache``: nothing that is held may answer; the answer is kept as any other. ``no_store``: the cache
    has no part in the request at all. ``only_if_cached``: nothing is to be computed for it. ``max_age_s``:
    the answer is no older, and not stale; infinite: any age. ``is_refresh``: the cache itself asks, and no
    client: nothing stale may end it.
    """

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age_s: float = math.inf
    is_refresh: bool = False

    @property
    def refuses_stale(self) -> bool:
        """Whether an answer past its freshness is none for this client (RFC 9111, 4.2.4 and 5.2.1.1)."""
        return self.no_cache or self.max_age_s < math.inf


NO_STORE: Final = CacheDirectives(no_store=True)
REFRESH: Final = CacheDirectives(is_refresh=True)


def not_cached() -> GatewayError:
    """Return the error of a request that wants a kept answer or none, where there is none."""
    return GatewayError(
        Fault.NOT_CACHED,
        "no answer to this request is cached here; without only-if-cached one is computed",
    )
