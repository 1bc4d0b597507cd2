"""How loaded and how fast one member is: peak-EWMA latency, requests under way, penalties, its own reports.

Peak-EWMA as in Finagle, Linkerd and Envoy: a peak counts at once, better times count little by little, and
what was measured fades while nothing is (decay 10 s), so that a slow member is tried again.

Three things are our own. What is no longer asked is tried again within seconds: with a decay of 10 s alone, a
first answer that took 1 s keeps a member out for a minute where the others take 3 ms. Once 24 choices went to
others, what was measured fades as e^-(age / 3 s)^2 as well: ten times as slow is forgotten after 4.5 s, a
thousand times after 8 s, and one that is slow indeed gets one request of 25 at most.

Requests that have no answer yet count as latency: a member that has gone silent costs as much as it has been
silent, long before an attempt times out. And a penalty is a time (5 s, or what Retry-After says, at most
300 s) instead of a peak that fades: one 503 of a member that answers in 10 ms would otherwise keep it out for
a minute.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from routing.pools.picking import PENALTY, Candidate

_BUSIEST: Final = 0.9
"""The utilization above which nothing more is made of it: such a member costs ten times as much."""

_FULL: Final = 2.0
"""A report of more utilization than that counts as this: it has faded below the busiest within one decay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSettings:
    """How latencies are remembered, with the field's figures.

    ``decay_s``: the time in which what was measured fades to a third (Finagle, Linkerd and Envoy: 10 s).
    ``forget_s``: the same for what has lost ``passed_over`` choices since, and more than that for older.
    ``default_s``: the latency of a member that has not answered yet (Envoy: 10 ms). ``penalty_s``: how long a
    refusal counts (Linkerd's load biaser: 5 s); ``max_retry_after_s``: the longest that Retry-After is
    followed (Linkerd: 300 s). ``slow_start_window_s`` and ``min_warmth``: see
    ``routing.endpoint.LoadBalancing``; a share instead of a percentage.
    """

    decay_s: float = 10.0
    forget_s: float = 3.0
    passed_over: int = 24
    default_s: float = 0.010
    penalty_s: float = 5.0
    max_retry_after_s: float = 300.0
    slow_start_window_s: float = 30.0
    min_warmth: float = 0.1


DEFAULT: Final = LoadSettings()


class AttemptEnd(Enum):
    """How a request ended, as far as it says how fast the member is."""

    ANSWERED = "answered"
    """It was answered as the member answers: the time is its latency."""
    UNFINISHED = "unfinished"
    """The caller left, the member refused or failed: it would have taken at least as long."""
    LOST = "lost"
    """There was no answer (connection refused, reset, attempt timed out): as a refusal."""


class Report(Protocol):
    """What a member says of itself with an answer (ORCA)."""

    @property
    def application(self) -> float | None:
        """Utilization by the service's own measure; 1.0 is all that there is."""
        ...

    @property
    def cpu(self) -> float | None:
        """Utilization of its processors."""
        ...

    @property
    def rps(self) -> float | None:
        """Requests per second."""
        ...

    @property
    def eps(self) -> float | None:
        """Errors per second."""
        ...


class MemberLoad:
    """The load of one member, a ``Candidate``.

    Whoever sends requests calls ``started`` and ``ended`` around each, ``refused`` when it was refused, and
    ``reported`` with what the member says of itself. ``clock``: seconds of a fine timer, as ``Clock.tick``.
    ``weight`` and ``zone`` are the policy's, and change with it.
    """

    __slots__ = (
        "_clock",
        "_latency_s",
        "_passed",
        "_penalty_until_s",
        "_quiet_since_s",
        "_rate",
        "_reported_s",
        "_seen_s",
        "_settings",
        "_utilization",
        "_warm_since_s",
        "active",
        "name",
        "weight",
        "zone",
    )

    def __init__(
        self,
        name: str,
        clock: Callable[[], float],
        settings: LoadSettings = DEFAULT,
        *,
        weight: float = 1.0,
        zone: str = "",
    ) -> None:
        self.name, self.weight, self.zone = name, weight, zone
        self.active = 0
        self._clock = clock
        self._settings = settings
        self._rate = -1.0 / settings.decay_s
        self._latency_s = settings.default_s
        self._seen_s = math.inf
        """When the latency was measured; it fades from then on."""
        self._passed = 0
        """Choices since then that went to others."""
        self._quiet_since_s = 0.0
        """Since when requests are under way, and none has ended."""
        self._penalty_until_s = -math.inf
        self._warm_since_s: float | None = None
        self._utilization = 0.0
        self._reported_s = 0.0

    def __repr__(self) -> str:
        penalty = ", penalized" if self.is_penalized else ""
        warmth = f", {self.warmth:.0%} warm" if self.warmth < 1 else ""
        latency_ms = 1000 * self.latency_s
        return f"<MemberLoad {self.name} {latency_ms:.1f} ms, {self.active} under way{penalty}{warmth}>"

    @property
    def latency_s(self) -> float:
        """What a request takes there, as far as it is known now."""
        return self._latency(self._clock())

    @property
    def measured(self) -> tuple[float, float] | None:
        """The latency as it was measured last, faded by nothing, and when that was; None: never."""
        return None if self._seen_s == math.inf else (self._latency_s, self._seen_s)

    @property
    def is_penalized(self) -> bool:
        """Whether it wants no requests now."""
        return self._clock() < self._penalty_until_s

    @property
    def warmth(self) -> float:
        """How much of its share it gets by now."""
        return 1.0 if self._warm_since_s is None else self._warmth(self._clock(), self._warm_since_s)

    @property
    def utilization(self) -> float:
        """What it last said of itself, fading; 0: nothing, or nothing that is still true."""
        return self._utilization * math.exp(min(self._reported_s - self._clock(), 0.0) * -self._rate)

    @property
    def cost(self) -> float:
        """What one more request costs there; how warm it is does not matter for it."""
        # Read twice for each request: written out instead of called.
        now = self._clock()
        age = self._seen_s - now
        latency = self._latency_s
        if age < 0.0:
            fading = -age * self._rate
            if self._passed >= self._settings.passed_over:
                fading -= (age / self._settings.forget_s) ** 2
            latency *= math.exp(fading)
        active = self.active
        if not active:
            if self._seen_s == math.inf:
                # Nothing is known of it, and nothing is on its way to be: else it would never be tried where
                # the others are faster than the default (Finagle does the same).
                return 0.0 if now >= self._penalty_until_s else PENALTY
        else:
            silence = now - self._quiet_since_s
            if silence > latency:  # noqa: PLR1730 - max() takes three times as long
                latency = silence
        cost = latency * (active + 1) / self.weight
        if self._utilization:
            cost /= 1.0 - min(self.utilization, _BUSIEST)
        return cost if now >= self._penalty_until_s else cost + PENALTY

    def warm_up(self) -> None:
        """It is new, or well again: give it its share little by little.

        What it took before it was out says nothing of it now: it is tried at once.
        """
        self._latency_s, self._seen_s, self._passed = self._settings.default_s, math.inf, 0
        self._warm_since_s = self._clock() if self._settings.slow_start_window_s else None

    def passed_over(self) -> None:
        """Another was taken, to which it was compared."""
        self._passed += 1

    def started(self) -> float:
        """Count a request, and return when it began, for ``ended``."""
        now = self._clock()
        if not self.active:
            self._quiet_since_s = now
        self.active += 1
        return now

    def ended(self, started_s: float, end: AttemptEnd) -> None:
        """Count that it has ended, once for each that started."""
        now = self._clock()
        took = max(now - started_s, 0.0)
        self.active -= 1
        self._quiet_since_s = now
        if end is not AttemptEnd.ANSWERED:
            if took > self._latency(now):
                self._latency_s, self._seen_s, self._passed = took, now, 0
        elif took >= self._latency_s or self._seen_s == math.inf or self._is_forgotten(now):
            self._latency_s, self._seen_s, self._passed = took, now, 0
        else:
            self._latency_s = took + (self._latency_s - took) * self._left(now)
            self._seen_s, self._passed = now, 0
        if end is AttemptEnd.LOST:
            self.refused()

    def refused(self, retry_after_s: float | None = None) -> None:
        """It wants fewer requests (429, 503); ``retry_after_s``: when to ask again, if it says so."""
        seconds = self._settings.penalty_s
        if retry_after_s is not None and retry_after_s >= 0:
            seconds = min(retry_after_s, self._settings.max_retry_after_s)
        self._penalty_until_s = max(self._penalty_until_s, self._clock() + seconds)

    def reported(self, report: Report) -> None:
        """It said how loaded it is. Errors count as gRPC counts them: their share is added."""
        used = report.application or report.cpu or 0.0
        if report.eps and report.rps:
            used += report.eps / report.rps
        if 0.0 <= used < math.inf:
            # Of a wrong 1e300, hours would pass until it had faded.
            self._utilization, self._reported_s = min(used, _FULL), self._clock()

    def _latency(self, now: float) -> float:
        faded = self._latency_s * self._left(now)
        return max(faded, now - self._quiet_since_s) if self.active else faded

    def _is_forgotten(self, now: float) -> bool:
        """Whether one better time counts for more than what was measured."""
        return self._passed >= self._settings.passed_over and now - self._seen_s >= self._settings.forget_s

    def _left(self, now: float) -> float:
        """What is left of the latency that was measured, as a share."""
        age = max(now - self._seen_s, 0.0)
        fading = age * self._rate
        if self._passed >= self._settings.passed_over:
            fading -= (age / self._settings.forget_s) ** 2
        return math.exp(fading)

    def _warmth(self, now: float, since: float) -> float:
        window = self._settings.slow_start_window_s
        if now - since >= window:
            self._warm_since_s = None
            return 1.0
        return max((now - since) / window, self._settings.min_warmth)


_: Callable[..., Candidate] = MemberLoad
