"""In which order the endpoints that a request may reach are tried: by levels, or by weights of regions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Protocol

from gateway.core.clock import Chance
from routing.policy import Policy
from routing.rules.levels import Levels, common_labels, grouped
from routing.rules.order import distances
from routing.rules.priority import WHOLE, level_health, priority_loads

_REMEMBERED: Final = 256


class Strength(Protocol):
    """How many members an endpoint has that are well now."""

    def strength(self, endpoint: str) -> tuple[int, int]:
        """Return how many members are well, and how many there are."""
        ...


class Order(Protocol):
    """One way to prefer endpoints. Whatever it returns is a part of what it was given."""

    def order(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return ``names``, all inside the request's residency, the first to be tried first."""
        ...


class ByLevel:
    """Everything goes to the first level, until less of it is well than carries the load; the rest overflows.

    Args:
        levels: divides names into levels.
        view: knows how many members are well.
        overprovisioning_factor: percent of its part that a member can carry.
        chance: draws the level where several get a part.
    """

    def __init__(
        self, levels: Mapping[str, int], view: Strength, overprovisioning_factor: int, chance: Chance
    ) -> None:
        self._level_of, self._view, self._chance = levels, view, chance
        self._factor = overprovisioning_factor
        # The sets of names are those of the policy's classes, so they are few.
        self._levels = lru_cache(_REMEMBERED)(self._divide)

    def __repr__(self) -> str:
        return f"<ByLevel of {len(self._level_of)} endpoints>"

    def order(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return ``names`` with the level first that the loads have drawn."""
        levels, flat = self._levels(names)
        if len(levels) <= 1:
            return flat
        strength = self._view.strength
        well = total = 0
        for name in levels[0]:
            known = strength(name)
            well, total = well + known[0], total + known[1]
        if self._factor * well >= WHOLE * total:
            return flat
        return self._spilt(levels, flat)

    def _spilt(self, levels: Levels, flat: tuple[str, ...]) -> tuple[str, ...]:
        strengths = [_sum(self._view, level) for level in levels]
        loads = priority_loads(strengths, self._factor)
        drawn = self._chance.random() * WHOLE
        for number, load in enumerate(loads):
            drawn -= load
            if drawn < 0:
                rest = (name for level in (*levels[:number], *levels[number + 1 :]) for name in level)
                return (*levels[number], *rest)
        return flat

    def _divide(self, names: tuple[str, ...]) -> tuple[Levels, tuple[str, ...]]:
        levels = grouped(names, self._level_of)
        return levels, tuple(name for level in levels for name in level)


class ByWeight:
    """Each request goes to a region that the weights draw; regions without a weight get nothing.

    What counts of a weight is what its region can carry of it (Envoy: locality-weighted). Endpoints of other
    regions with a weight come after, for attempts that fail.

    Args:
        regions: endpoint → its region.
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
        """Return those of ``names`` whose regions have a weight, the drawn region's first."""
        groups = self._by_region(names)
        carried = [
            (region, self._weights[region] * level_health(*_sum(self._view, group), self._factor))
            for region, group in groups.items()
        ]
        drawn = self._chance.random() * sum(weight for _, weight in carried)
        chosen = next(iter(groups), "")
        for region, weight in carried:
            drawn -= weight
            if drawn < 0:
                chosen = region
                break
        rest = sorted((each for each in carried if each[0] != chosen), key=lambda each: -each[1])
        return tuple(
            name for region in (chosen, *(each[0] for each in rest)) for name in groups.get(region, ())
        )

    def _divide(self, names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for name in names:
            if self._regions[name] in self._weights:
                found.setdefault(self._regions[name], []).append(name)
        return {region: tuple(group) for region, group in found.items()}


def static_levels(policy: Policy, own_region: str, names: tuple[str, ...]) -> Mapping[str, int]:
    """Return the level of each endpoint for the modes that do not measure."""
    if policy.preference.mode == "failover_priority":
        return common_labels(policy, own_region, names)
    return distances(policy, own_region, names)


def weights_of(policy: Policy, own_region: str) -> Mapping[str, int] | None:
    """Return the weights of regions for the gateway of ``own_region``; None: it has none, and fails over."""
    locality = policy.preference
    if locality.mode != "distribute":
        return None
    return next((each.to for each in locality.distribute if each.source == own_region), None)


def _sum(view: Strength, names: tuple[str, ...]) -> tuple[int, int]:
    known = [view.strength(name) for name in names]
    return sum(well for well, _ in known), sum(total for _, total in known)
