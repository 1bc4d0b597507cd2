"""What of a route's answers is cached, as the policy has it."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

MONTH_S: Final = 2_592_000


class RouteCache(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What of it is cached.

    ``enabled``: whether anything is. ``ttl_s``: seconds for which an answer stays fresh; absent, each
    gateway's own setting holds. ``lease``: whether of several processes that miss an answer at a time, and
    share one Redis, one computes it while the others wait; false: each computes it for itself.
    ``verify_after``: hits of an answer of the edge after which central is asked once, and its answer is kept
    instead; absent: never. Only with ``cascade``.
    """

    enabled: bool = True
    ttl_s: Annotated[float, msgspec.Meta(gt=0, le=MONTH_S)] | None = None
    lease: bool = True
    verify_after: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
