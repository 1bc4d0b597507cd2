"""What of a route's answers is cached, as the policy has it."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

MONTH_S: Final = 2_592_000
Tag = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]


class RouteCache(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What of it is cached.

    ``enabled``: whether anything is. ``ttl_s``: seconds for which an answer stays fresh; absent, each
    gateway's own setting holds. ``tags``: names by which its answers can be invalidated together
    (`edgeway cache purge --tag`), up to 8.
    """

    enabled: bool = True
    ttl_s: Annotated[float, msgspec.Meta(gt=0, le=MONTH_S)] | None = None
    tags: Annotated[tuple[Tag, ...], msgspec.Meta(max_length=8)] = ()
