"""The nearest endpoint first: by its measured round trip, and by its distance until there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from gateway.core.clock import Clock
from routing.locality import Locality

LOOK_S: Final = 0.25
"""Seconds between two comparisons of the endpoints; requests between them take the order that there is."""

EXPLORE_S: Final = 1.0
"""Seconds between two requests that are sent to an endpoint of which nothing is known for long."""

STALE_S: Final = 10.0
"""Seconds after which what was measured is asked for again."""

_REMEMBERED: Final = 256
"""Sets of endpoints, as residency and the models that they hold make them."""

_SHARE: Final = 100
"""Of so many requests one may explore, however few there are in a second."""


class RoundTrips(Protocol):
    """What is measured of endpoints."""

    def round_trip(self, endpoint: str) -> tuple[float, float] | None:
        """Return the peak-EWMA of the time from a request to its answer, and when it was measured last.

        By the clock's fine timer. None: it never was.
        """
        ...

    def is_available(self, endpoint: str) -> bool:
        """Whether a request sent there now would be let through."""
        ...


class Nearest:
    """Keeps one order for each set of endpoints, and changes it with hysteresis.

    Another endpoint comes first once it is nearer by ``hysteresis_percent``, and not within ``hysteresis_s``
    seconds of the last change, unless the first is out. A request a second at most, and one of a hundred, is
    sent to an endpoint that may be nearer and was not measured for 10 s: who has become fast is found, and a
    slow one costs few. What light alone cannot reach in the time of the first is never tried for that.

    Args:
        least_s: endpoint → seconds that a round trip takes at least, by its distance.
        view: what is measured.
        locality: the hysteresis.
        clock: time.
    """

    def __init__(
        self, least_s: Mapping[str, float], view: RoundTrips, locality: Locality, clock: Clock
    ) -> None:
        self._least_s, self._view, self._clock = least_s, view, clock
        self._margin = 1 - locality.hysteresis_percent / (100 + locality.hysteresis_percent)
        self._dwell_s = locality.hysteresis_s
        self._orders: dict[tuple[str, ...], _Standing] = {}
        self._explored: dict[str, float] = {}
        self._explore_at = 0.0
        self._requests = 0

    def __repr__(self) -> str:
        firsts = ", ".join(standing.order[0] for standing in self._orders.values() if standing.order)
        return f"<Nearest {firsts or 'nothing asked yet'}>"

    def order(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return ``names``, the nearest first."""
        if len(names) < 2:
            return names
        now = self._clock.tick()
        standing = self._orders.get(names)
        if standing is None and len(self._orders) >= _REMEMBERED:
            self._orders.clear()
        if standing is None or now >= standing.look_at:
            standing = self._orders[names] = self._look(names, standing, now)
        self._requests += 1
        if standing.may_explore and now >= self._explore_at and self._requests >= _SHARE:
            return self._explore(standing, now)
        return standing.order

    def cost(self, name: str) -> float:
        """Return the seconds of a round trip, as far as they are known."""
        measured = self._view.round_trip(name)
        return self._least_s[name] if measured is None else measured[0]

    def _look(self, names: tuple[str, ...], before: _Standing | None, now: float) -> _Standing:
        costs = {name: self.cost(name) for name in names}
        # Equally near ones stay as the route has them: sorting is stable.
        order = tuple(sorted(names, key=costs.__getitem__))
        changed_at = now if before is None else before.changed_at
        if before is not None and before.order:
            first = before.order[0]
            best = next((name for name in order if self._view.is_available(name)), first)
            is_out = not self._view.is_available(first)
            may_change = now >= before.changed_at + self._dwell_s
            is_nearer = costs[best] < costs[first] * self._margin
            if best != first and (is_out or (may_change and is_nearer)):
                first, changed_at = best, now
            order = (first, *(name for name in order if name != first))
        stale = [name for name in order[1:] if self._is_stale(name, costs[order[0]], now)]
        return _Standing(order, now + LOOK_S, changed_at, tuple(stale))

    def _is_stale(self, name: str, first_s: float, now: float) -> bool:
        if self._least_s[name] >= first_s or not self._view.is_available(name):
            return False
        measured = self._view.round_trip(name)
        at = max(measured[1] if measured else -STALE_S, self._explored.get(name, -STALE_S))
        return now >= at + STALE_S

    def _explore(self, standing: _Standing, now: float) -> tuple[str, ...]:
        name = standing.stale[0]
        standing.stale = standing.stale[1:]
        self._explored[name] = now
        self._explore_at, self._requests = now + EXPLORE_S, 0
        return (name, *(other for other in standing.order if other != name))


class _Standing:
    """One order, and when it may change."""

    __slots__ = ("changed_at", "look_at", "order", "stale")

    def __init__(
        self, order: tuple[str, ...], look_at: float, changed_at: float, stale: tuple[str, ...]
    ) -> None:
        self.order, self.look_at, self.changed_at, self.stale = order, look_at, changed_at, stale

    @property
    def may_explore(self) -> bool:
        """Whether there is an endpoint that was not measured for long, and may be nearer."""
        return bool(self.stale)
