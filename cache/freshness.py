"""How long an answer may be kept, and when it is due: decisions without any effect.

Every kept answer has a soft expiry, until which it is fresh, and a hard expiry, until which it is of use.
Past the first it is served at once while it is computed anew (``stale-while-revalidate`` of RFC 5861), and it
may stand in for one that cannot be had (``stale-if-error``), each for as long as the route has it. Both
expiries are fixed once, when it is written, so that all levels and all gateways agree on them. Within a
process they are steady seconds (``Clock.steady``), which nobody can set back.

Shortly before the soft expiry a hit refreshes the answer ahead of time with a probability that grows
towards certainty: XFetch (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede
Prevention, VLDB 2015). It refreshes when ``now - compute_s * beta * ln(u) >= soft_expiry`` for u
uniform in (0, 1], so an answer that is expensive or often requested is refreshed sooner, and gateways
need not agree on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from cache.levels.level import Entry
from cache.settings import CacheSettings
from gateway.core.cache_control import CacheDirectives
from gateway.core.clock import Chance
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import CENTRAL, EDGE, Provenance, Response

LEAST_COMPUTE_S: Final = 0.001
SKEW_S: Final = 1.0
"""By how much the clocks of two gateways may differ."""

_LONGEST_DRAW: Final = 53 * math.log(2)
"""-ln of the smallest u that ``1 - random()`` can give, which is 2 to the power of -53."""

_OUTAGES: Final = frozenset({Fault.UNAVAILABLE, Fault.OVERLOADED, Fault.DEADLINE, Fault.INTERNAL})


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Steady seconds of both expiries; ``shared`` when other gateways may have the answer too."""

    soft_expiry: float
    hard_expiry: float
    shared: bool


class Freshness:
    """The rules of one route.

    With ``expected_digests`` given, an answer computed by any other artefact is not kept: its key
    speaks for the artefacts that the route expects.
    """

    def __init__(
        self, settings: CacheSettings, chance: Chance, expected_digests: frozenset[str] = frozenset()
    ) -> None:
        self._settings = settings
        self._chance = chance
        self._expected_digests = expected_digests
        self.uncertified_ttl_s = settings.uncertified_ttl_s
        self.reach = settings.early_beta * _LONGEST_DRAW
        """Times ``compute_s``: seconds before its soft expiry in which an answer can be due."""
        self._central_ttl_s = settings.central_ttl_s or settings.ttl_s
        self._edge_ttl_s = settings.edge_ttl_s or settings.ttl_s
        self.longest_s = max(self._central_ttl_s, self._edge_ttl_s) * (1 + settings.jitter) + SKEW_S
        """Seconds from any time for which an answer of this route can be fresh."""
        self._stale_s = max(settings.stale_if_error_s, settings.stale_while_revalidate_s)

    def __repr__(self) -> str:
        settings = self._settings
        return (
            f"<Freshness {self._central_ttl_s:g} s, edge {self._edge_ttl_s:g} s,"
            f" uncertified {settings.uncertified_ttl_s:g} s, stale {settings.stale_if_error_s:g} s,"
            f" while revalidating {settings.stale_while_revalidate_s:g} s>"
        )

    def lifetime(self, provenance: Provenance, now: float) -> Lifetime | None:
        """Return how long an answer may be kept from steady time ``now``; None: not at all.

        Outputs that hold NaN are kept like any other: the same input would give them again.
        """
        settings = self._settings
        if provenance.stale or not self._is_expected(provenance):
            return None

        ttl_s = self._edge_ttl_s if provenance.origin == EDGE else self._central_ttl_s
        ttl_s *= self._chance.uniform(1 - settings.jitter, 1 + settings.jitter)
        if provenance.certified:
            return Lifetime(now + ttl_s, now + ttl_s + self._stale_s, shared=True)

        # An answer without a bound on its risk is for the moment only: never stale, never shared, and not
        # kept a second time when it comes out of another gateway's cache.
        if provenance.level:
            return None
        ttl_s = min(ttl_s, settings.uncertified_ttl_s)
        return Lifetime(now + ttl_s, now + ttl_s, shared=False) if ttl_s else None

    def momentary(self, lifetime: Lifetime, now: float) -> Lifetime:
        """Return how long an answer is kept that was computed while features lacked: here, for a moment."""
        expiry = min(lifetime.soft_expiry, now + self.uncertified_ttl_s)
        return Lifetime(expiry, expiry, shared=False)

    def keeps(self, provenance: Provenance, *, shared: bool) -> bool:
        """Whether an answer from there is one that would have been kept; ``shared``: at a shared level."""
        return (provenance.certified or not shared) and self._is_expected(provenance)

    def believed(self, found: Entry, now: float) -> Entry:
        """Return ``found``, which others may have written, as far as its expiries can be believed.

        No answer of this route is fresh for longer than its time to live. One that says so was written by a
        clock that is ahead of ours, or by other rules, of another route or of the policy before: it is stale.
        """
        if found.soft_expiry <= now + self.longest_s:
            return found
        born = found.response.born
        expiry = min(now, born + self.longest_s) if born else now
        return replace(found, soft_expiry=expiry, hard_expiry=expiry + self._stale_s)

    def outranks(self, held: Entry, provenance: Provenance, now: float) -> bool:
        """Whether ``held`` is better than an answer that was just computed without a bound on its risk.

        It is as long as it may stand in for one that fails: the edge answers uncertified only while
        central cannot be had.
        """
        is_certified = held.response.provenance.certified
        return is_certified and not provenance.certified and now < self.stands_in_until(held)

    def stands_in_until(self, entry: Entry) -> float:
        """Return the steady time until which ``entry`` may stand in for an answer that cannot be had."""
        return min(entry.hard_expiry, entry.soft_expiry + self._settings.stale_if_error_s)

    def may_stand_in(self, entry: Entry, error: GatewayError, now: float) -> bool:
        """Whether ``entry`` may stand in at steady time ``now`` for an answer that failed with ``error``."""
        is_outage = error.retryable or error.fault in _OUTAGES
        return is_outage and now < self.stands_in_until(entry)

    def may_revalidate(self, entry: Entry, now: float) -> bool:
        """Whether ``entry``, no longer fresh, is served at steady time ``now`` while it is computed anew."""
        until = entry.soft_expiry + self._settings.stale_while_revalidate_s
        return entry.soft_expiry <= now < min(until, entry.hard_expiry)

    def compute_s(self, elapsed_s: float, lifetime: Lifetime, now: float) -> float:
        """Bound what a computation took, so that one outlier cannot keep an answer always due."""
        return max(LEAST_COMPUTE_S, min(elapsed_s, (lifetime.soft_expiry - now) / 4))

    def is_due(self, entry: Entry, now: float) -> bool:
        """Draw whether this hit refreshes ``entry``, which is still fresh at steady time ``now``."""
        # 1 - random() is never 0, whose logarithm does not exist.
        draw_s = -math.log(1.0 - self._chance.random()) * entry.compute_s * self._settings.early_beta
        return now + draw_s >= entry.soft_expiry

    def _is_expected(self, provenance: Provenance) -> bool:
        # A central tier that is not Edgeway names no digest: there the policy's word is all there is.
        is_unnamed = provenance.origin == CENTRAL and not provenance.digest
        return is_unnamed or not self._expected_digests or provenance.digest in self._expected_digests


def is_young(response: Response, control: CacheDirectives | None, now: float) -> bool:
    """Whether a held ``response`` is as young at steady time ``now`` as the client wants it.

    One of unknown age, which a build before this one has kept, is too old for any bound, and so is one that
    stands in for a better one.
    """
    if control is None or control.max_age_s == math.inf:
        return True
    if response.provenance.stale:
        return False
    return bool(response.born) and now - response.born <= control.max_age_s


def stale(response: Response) -> Response:
    """Return ``response``, which says that it is past its freshness."""
    return replace(response, provenance=replace(response.provenance, stale=True))
