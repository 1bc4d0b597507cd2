"""How long attempts take, of many kinds of requests; it outlives policies."""

from __future__ import annotations

from typing import Final

from resilience.quantile import Quantile

Kind = tuple[str, str, float]
"""Of which requests: route and model, and the percentile that is wanted."""

MAX_KINDS: Final = 1024


class Latencies:
    """A quantile for each kind of request; where there are too many, the one that is known longest goes.

    A kind is known once a request of it was answered, so that nobody fills it with names of his own.
    """

    def __init__(self, max_kinds: int = MAX_KINDS) -> None:
        self._max_kinds = max_kinds
        self._quantiles: dict[Kind, Quantile] = {}

    def __repr__(self) -> str:
        return f"<Latencies of {len(self._quantiles)} kinds>"

    def get(self, kind: Kind) -> Quantile | None:
        """Return what is known of a kind."""
        return self._quantiles.get(kind)

    def answered(self, kind: Kind) -> Quantile:
        """Return what is known of a kind of which a request was answered."""
        found = self._quantiles.get(kind)
        if found is None:
            if len(self._quantiles) >= self._max_kinds:
                del self._quantiles[next(iter(self._quantiles))]
            found = self._quantiles[kind] = Quantile(kind[2])
        return found
