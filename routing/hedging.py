"""When a route's requests are hedged, as the policy has it."""

from __future__ import annotations

from typing import Annotated

import msgspec

_Milliseconds = Annotated[float, msgspec.Meta(gt=0, le=86_400_000)]


class RouteHedge(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A further attempt is sent to another member when the first takes long; the first good answer wins.

    Steps of sequences and retries are never hedged, and nothing is while an endpoint is overloaded.
    """

    max_attempts: Annotated[int, msgspec.Meta(ge=2, le=3)] = 2
    """Attempts of one request, the first among them. 2 (gRPC: maxAttempts)."""

    percentile: Annotated[float, msgspec.Meta(ge=50, le=99.9)] = 95.0
    """A further attempt is sent after this percentile of what first attempts took lately, route by route and
    model by model; not before enough of them are measured. 95."""

    delay_ms: _Milliseconds | None = None
    """Milliseconds in place of the percentile, absent: as measured (gRPC: hedgingDelay)."""

    min_delay_ms: _Milliseconds = 1.0
    """Milliseconds that pass at least, whatever is measured. 1."""

    budget_percent: Annotated[float, msgspec.Meta(gt=0, le=100)] = 5.0
    """Of the route's requests, that are hedged at most. 5. They come out of the budget of retries too."""
