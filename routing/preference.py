"""In which order the endpoints that a request may reach are tried: by priority, by weights, by distance."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Final, Protocol

from gateway.core.clock import Chance, Clock
from routing.nearest import Nearest, RoundTrips
from routing.policy import Policy
from routing.rules.locality import least_round_trips_s, levels, weights_of
from routing.rules.priority import WHOLE, level_health, priority_loads

_REMEMBERED: Final = 256
_DRAWS: Final = 8


class Strength(Protocol):
    """How many members an endpoint has that are well now."""

    def strength(self, endpoint: str) -> tuple[int, int]:
        """Return how many members are well, and how many there are."""
        ...


class Order(Protocol):
    """One way to prefer endpoints."""

    def order(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return ``names``, all inside the request's residency, the first to be tried first."""
        ...


class Measured(Strength, RoundTrips, Protocol):
    """What is measured of endpoints."""


def preference(
    policy: Policy, own_region: str, names: Sequence[str], view: Measured, *, clock: Clock, chance: Chance
) -> Order:
    """Return how the gateway of ``own_region`` prefers the endpoints ``names``, as the policy has it."""
    locality = policy.preference
    factor = locality.overprovisioning_factor
    if locality.mode == "nearest":
        return Nearest(least_round_trips_s(policy, own_region, names), view, locality, clock)
    if (weights := weights_of(policy, own_region)) is not None:
        regions = {name: policy.endpoints[name].region for name in names}
        return ByWeight(regions, weights, view, factor, chance)
    return ByPriority(levels(policy, own_region, names), view, factor, chance)


class ByPriority:
    """Everything goes to the first endpoint, until less of it is well than carries the load.

    What it cannot carry overflows into the next, and so on (Envoy: priority levels). Equally preferred
    endpoints keep the order of the route.

    Args:
        levels: endpoint → its level, the lowest preferred.
        view: knows how many members are well.
        overprovisioning_factor: percent of its part that a member can carry.
        chance: draws the endpoint where several get a part.
    """

    def __init__(
        self, levels: Mapping[str, int], view: Strength, overprovisioning_factor: int, chance: Chance
    ) -> None:
        self._level_of, self._view, self._chance = levels, view, chance
        self._factor = overprovisioning_factor
        # The sets of names are those of the policy's classes, so they are few.
        self._sorted = lru_cache(_REMEMBERED)(self._sort)

    def __repr__(self) -> str:
        return f"<ByPriority of {len(self._level_of)} endpoints>"

    def order(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return ``names`` with the one first that the loads have drawn."""
        ordered = self._sorted(names)
        if len(ordered) <= 1:
            return ordered
        well, total = self._view.strength(ordered[0])
        if self._factor * well >= WHOLE * total:
            return ordered
        return self._overflown(ordered)

    def _overflown(self, ordered: tuple[str, ...]) -> tuple[str, ...]:
        loads = priority_loads([self._view.strength(name) for name in ordered], self._factor)
        drawn = self._chance.random() * WHOLE
        for number, load in enumerate(loads):
            drawn -= load
            if drawn < 0:
                return (ordered[number], *ordered[:number], *ordered[number + 1 :])
        return ordered

    def _sort(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(names, key=self._level_of.__getitem__))


class ByWeight:
    """Each request goes to a region that the weights draw.

    What counts of a weight is what its region can carry of it (Envoy: locality-weighted). Endpoints of the
    other regions come after, for attempts that fail.

    Args:
        regions: endpoint → its region, one that has a weight.
        weights: region → weight.
        view: knows how many members are well.
        overprovisioning_factor: percent of its part that a member can carry.
        chance: draws.
    """

    def __init__(
        self,
        regions: Mapping[str, str],
        weights: Mapping[str, int],
        view: Strength,
        overprovisioning_factor: int,
        chance: Chance,
    ) -> None:
        self._regions, self._weights, self._view = regions, weights, view
        self._factor, self._chance = overprovisioning_factor, chance
        self._by_region = lru_cache(_REMEMBERED)(self._divide)

    def __repr__(self) -> str:
        return f"<ByWeight {dict(self._weights)}>"

    def order(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return ``names``, those of the drawn region first.

        To ask all regions how well they are takes long where there are many. So one is drawn by its weight
        alone, and kept as often as it can carry a request; that comes to the same.
        """
        divided = self._by_region(names)
        if len(divided.groups) <= 1:
            return names
        chance = self._chance
        for _ in range(_DRAWS):
            number = bisect_right(divided.sums, chance.random() * divided.sums[-1])
            health = level_health(*self._strength(divided.groups[number]), self._factor)
            if health >= WHOLE or chance.random() * WHOLE < health:
                return divided.orders[number]
        return self._of_all(divided)

    def _of_all(self, divided: _Divided) -> tuple[str, ...]:
        """Draw among all regions by what they can carry."""
        carried = [
            weight * level_health(*self._strength(group), self._factor)
            for weight, group in zip(divided.weights, divided.groups, strict=True)
        ]
        sums = list(accumulate(carried))
        if not sums[-1]:
            return divided.orders[0]
        return divided.orders[bisect_right(sums, self._chance.random() * sums[-1])]

    def _strength(self, names: tuple[str, ...]) -> tuple[int, int]:
        well = total = 0
        for name in names:
            known = self._view.strength(name)
            well, total = well + known[0], total + known[1]
        return well, total

    def _divide(self, names: tuple[str, ...]) -> _Divided:
        found: dict[str, list[str]] = {}
        for name in names:
            found.setdefault(self._regions[name], []).append(name)
        groups = tuple(map(tuple, found.values()))
        weights = tuple(self._weights[region] for region in found)
        by_weight = sorted(range(len(groups)), key=weights.__getitem__, reverse=True)
        orders = []
        for number in range(len(groups)):
            rest = (other for other in by_weight if other != number)
            orders.append(tuple(name for each in (number, *rest) for name in groups[each]))
        return _Divided(groups, weights, tuple(accumulate(weights)), tuple(orders))


@dataclass(frozen=True, slots=True)
class _Divided:
    """Endpoints by region: the weight of each, the sums of the weights so far, the order if it is drawn."""

    groups: tuple[tuple[str, ...], ...]
    weights: tuple[int, ...]
    sums: tuple[int, ...]
    orders: tuple[tuple[str, ...], ...]
